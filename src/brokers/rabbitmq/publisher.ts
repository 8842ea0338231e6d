/** Publishes events of the outbox to an exchange of RabbitMQ. */

import type { OutboxEvent, Publisher } from '../../outbox/publisher.ts';
import { readNumberOption, refuseUnknownOptions, wrongOption } from '../consumer-settings.ts';
import { eventHeaders } from '../event-headers.ts';
import { trackConfirms } from './confirms.ts';
import type { Confirms, OutgoingMessage, Sent } from './confirms.ts';
import { Link } from './link.ts';
import type { Connect } from './link.ts';

export interface RabbitMqPublisherOptions {
  /**
   * Opens a connection, such as `() => amqplib.connect(url)`: called for the first events, and again after a loss. What
   * it opens is the publisher's, to listen to and to close. Leave out the `recovery` of amqplib.
   */
  readonly connect: Connect;
  /** An exchange that exists; `''` is the default one, which delivers to the queue that the routing key names. */
  readonly exchange: string;
  /** @defaultValue the event's topic */
  readonly routingKey?: ((event: OutboxEvent) => string) | undefined;
  /**
   * How long a connection and the broker's confirms are waited for, in milliseconds. Below `publishTimeoutMs` of the
   * relay, so that what was confirmed in the meantime counts.
   *
   * @defaultValue 20000
   */
  readonly confirmTimeoutMs?: number | undefined;
}

/** A publisher with a connection of its own. */
export interface RabbitMqPublisher extends Publisher {
  /** Closes the connection: to be called when the relay has stopped. What is not confirmed has failed. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const NAME = 'rabbitMqPublisher';
const OPTIONS: Record<keyof RabbitMqPublisherOptions, true> = {
  connect: true,
  exchange: true,
  routingKey: true,
  confirmTimeoutMs: true,
};
/** The longest text that a property can be, in bytes. */
const MAX_PROPERTY_BYTES = 255;

/**
 * Makes a publisher that sends each event as a persistent message, and counts it as published when RabbitMQ has
 * confirmed it: for a durable queue, when it is on disk. An event for which no queue is bound has failed, and so have
 * all that are not confirmed when the channel or the connection is closed; the next events get a new one. An event may
 * be in a queue more than once, always under the same id. While an alarm of the broker blocks the connection, events
 * fail at once instead of piling up.
 *
 * @example
 * ```ts
 * const publisher = rabbitMqPublisher({ connect: () => amqplib.connect(url), exchange: 'events' });
 * const relay = idempotency.relay({ publisher });
 * relay.start();
 * ```
 * @throws TypeError naming the option that is wrong.
 */
export function rabbitMqPublisher(options: RabbitMqPublisherOptions): RabbitMqPublisher {
  refuseUnknownOptions(options, { name: NAME, own: Object.keys(OPTIONS) });
  const { connect, exchange, routingKey = ({ topic }) => topic } = options;
  if (typeof connect !== 'function') throw wrong('connect', 'expects a function');
  if (typeof exchange !== 'string') throw wrong('exchange', "expects the name of an exchange, or ''");
  if (typeof routingKey !== 'function') throw wrong('routingKey', 'expects a function');
  const range = { default: 20_000, min: 1, max: 86_400_000 };
  const timeoutMs = readNumberOption(NAME, 'confirmTimeoutMs', options.confirmTimeoutMs, range);
  const link = new Link(connect);
  let current: Promise<Confirms> | undefined;

  function confirms(): Promise<Confirms> {
    if (current !== undefined) return current;
    const opening = link
      .open(
        async (connection) => trackConfirms(await connection.createConfirmChannel(), () => link.error),
        timeoutMs,
      )
      .then((opened) => {
        void opened.closed.then(forget);
        return opened;
      });
    const forget = (): void => {
      if (current === opening) current = undefined;
    };
    opening.catch(forget);
    current = opening;
    return opening;
  }

  async function publish(events: readonly OutboxEvent[]): ReturnType<Publisher['publish']> {
    const begun = performance.now();
    const channel = await confirms();
    const sent: Sent[] = [];
    let expired: Error | undefined;
    let stopWaiting!: () => void;
    const expiry = new Promise<void>((resolve) => {
      stopWaiting = resolve;
    });
    const timer = setTimeout(
      () => {
        expired = new Error(`RabbitMQ has not confirmed the event within ${timeoutMs} ms.`);
        for (const one of sent) one.giveUp(expired);
        stopWaiting();
        // A broker that says nothing may be gone without a word. One that has blocked the connection is there.
        if (link.blocked !== undefined) return;
        current = undefined;
        link.giveUp();
      },
      timeoutMs - (performance.now() - begun),
    );
    try {
      for (const event of events) {
        const problem = expired ?? refusal(link.blocked);
        const one = problem === undefined ? send(channel, event) : unsent(problem);
        sent.push(one);
        if (!one.flowing) await Promise.race([channel.drained(), expiry]);
      }
      return await Promise.all(sent.map(({ outcome }) => outcome));
    } finally {
      clearTimeout(timer);
    }
  }

  function send(channel: Confirms, event: OutboxEvent): Sent {
    try {
      return channel.send(messageOf(event, exchange, routingKey(event)));
    } catch (error) {
      return unsent(error instanceof Error ? error : new Error('not published', { cause: error }));
    }
  }

  const close = (): Promise<void> => link.close();
  return { publish, close, [Symbol.asyncDispose]: close };
}

/** What is written while the broker does not read would pile up, once for each try at publishing. */
function refusal(blocked: string | undefined): Error | undefined {
  return blocked === undefined
    ? undefined
    : new Error(`RabbitMQ takes no events at the moment, its connection is blocked: ${blocked}.`);
}

function unsent(problem: Error): Sent {
  return { outcome: Promise.resolve(problem), flowing: true, giveUp: () => {} };
}

function messageOf(event: OutboxEvent, exchange: string, routingKey: string): OutgoingMessage {
  const { 'content-type': contentType, ...headers } = eventHeaders(event);
  const fits = contentType !== undefined && Buffer.byteLength(contentType) <= MAX_PROPERTY_BYTES;
  return {
    exchange,
    routingKey,
    content: event.payload,
    properties: {
      persistent: true,
      // Or else a message for which there is no queue would be confirmed, and gone.
      mandatory: true,
      messageId: event.id,
      timestamp: Math.floor(event.createdAt.getTime() / 1000),
      ...(fits ? { contentType } : {}),
      headers: fits || contentType === undefined ? headers : { ...headers, 'content-type': contentType },
    },
  };
}

function wrong(option: string, problem: string): TypeError {
  return wrongOption(NAME, option, problem);
}
