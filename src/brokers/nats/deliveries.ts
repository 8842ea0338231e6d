/** The messages of JetStream that are in hand: handled, and then acknowledged, asked for again or given back. */

import type { JsMsg } from '@nats-io/jetstream';
import type { ConsumerSettings } from '../consumer-settings.ts';
import { createLanes } from '../lanes.ts';
import type { MessageHandler, ReceivedMessage } from '../received-message.ts';
import { receivedFrom } from './received-from.ts';

interface Delivery {
  /** The last one of this message: what is said of it, the server takes for what it has sent last. */
  latest: JsMsg;
  readonly received: ReceivedMessage;
}

export class Deliveries {
  readonly #settings: ConsumerSettings;
  readonly #handler: MessageHandler;
  readonly #lanes = createLanes();
  readonly #inHand = new Map<string, Delivery>();
  /** Those of them that have no slot yet. */
  readonly #waiting: string[] = [];
  #usedSlots = 0;
  #stopping = false;
  #wake: (() => void) | undefined;

  constructor(settings: ConsumerSettings, handler: MessageHandler) {
    this.#settings = settings;
    this.#handler = handler;
  }

  /** Resolves when there is room for messages, with how much; or with 0 when it stops. */
  async room(): Promise<number> {
    for (;;) {
      if (this.#stopping) return 0;
      const room = this.#settings.concurrency - this.#inHand.size;
      if (room > 0) return room;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  take(message: JsMsg): void {
    const place = placeOf(message);
    const known = this.#inHand.get(place);
    if (known !== undefined) {
      // A server that was killed has forgotten that it had sent this one, and sends it again while it is being
      // handled here. Handled twice at once, it would only be in its own way.
      known.latest = message;
      return;
    }
    this.#inHand.set(place, { latest: message, received: receivedFrom(message) });
    // After a reconnection the client asks again for as much as it had asked for before: there may be too many.
    this.#waiting.push(place);
    this.#fillSlots();
  }

  /**
   * Tells the server that these are being worked on. Without it: a handler takes longer than ack_wait, the server
   * delivers its message to another consumer, and both work on it at once.
   */
  keep(): void {
    for (const { latest } of this.#inHand.values()) quietly(() => latest.working());
  }

  /** Begins no further message. */
  stop(): void {
    this.#stopping = true;
    this.#wake?.();
  }

  /** Resolves when nothing is being handled. */
  idle(): Promise<void> {
    return this.#lanes.idle();
  }

  /** Has the server deliver at once what is still in hand; returns how much that is. */
  giveBack(): number {
    for (const { latest } of this.#inHand.values()) quietly(() => latest.nak());
    return this.#inHand.size;
  }

  #fillSlots(): void {
    while (this.#usedSlots < this.#settings.concurrency) {
      const place = this.#waiting.shift();
      if (place === undefined) return;
      this.#usedSlots += 1;
      const delivery = this.#inHand.get(place)!;
      this.#lanes.run(delivery.received.key, () => this.#work(place, delivery));
    }
  }

  async #work(place: string, delivery: Delivery): Promise<void> {
    if (this.#stopping) return;
    await this.#handle(delivery);
    this.#inHand.delete(place);
    this.#usedSlots -= 1;
    if (this.#stopping) return;
    this.#fillSlots();
    this.#wake?.();
  }

  async #handle(delivery: Delivery): Promise<void> {
    const { failures, retryDelayMs } = this.#settings;
    const { received } = delivery;
    try {
      await this.#handler(received);
    } catch (error) {
      failures.failed(error, received);
      const { latest } = delivery;
      quietly(() => latest.nak(retryDelayMs(latest.info.deliveryCount)));
      return;
    }
    failures.handled();
    // Not before: a message whose commit fails would never come again.
    await this.#acknowledge(delivery);
  }

  async #acknowledge(delivery: Delivery): Promise<void> {
    const { latest, received } = delivery;
    try {
      await latest.ackAck();
    } catch (cause) {
      // Sent again meanwhile, by a server that was killed: it would wait for a word about that one until ack_wait is
      // over, and with max_ack_pending 1 all others would as well.
      if (delivery.latest !== latest) return this.#acknowledge(delivery);
      const what = `The message ${received.messageId} is handled, but the server did not confirm that it knows`;
      this.#settings.failures.failed(new Error(`${what}: it may come again.`, { cause }));
    }
  }
}

/** With its time: a stream that was deleted and made again counts from 1 again. */
function placeOf({ info }: JsMsg): string {
  return `${info.streamSequence}@${info.timestampNanos}`;
}

/** What the server does not hear of, it finds out when ack_wait is over. */
function quietly(say: () => void): void {
  try {
    say();
  } catch {
    // The connection is closed.
  }
}
