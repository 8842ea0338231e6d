/** The messages that a consumer has taken, until they are struck off or given back. */

import { setImmediate as turn } from 'node:timers/promises';
import { createLanes } from '../lanes.ts';
import type { MessageHandler, ReceivedMessage } from '../received-message.ts';
import type { RedisStreamSettings } from './consumer-options.ts';
import { messageOf } from './entry.ts';
import type { StreamEntry } from './entry.ts';
import { pause } from './pause.ts';
import type { StreamGroup } from './stream-group.ts';

export interface InHandContext {
  readonly settings: RedisStreamSettings;
  readonly group: StreamGroup;
  readonly handler: MessageHandler;
  /** Aborted: no further message is begun. */
  readonly stopping: AbortSignal;
  /** A message was handled or not, and there is room for another; if not, it is due again in `retryMs`. */
  readonly onSettled: (retryMs?: number) => void;
}

export interface InHand {
  size(): number;
  /** The ids of those of a stream. */
  idsOf(stream: string): ReadonlySet<string>;
  /** Has the message handled. */
  take(entry: StreamEntry): void;
  /** Gives a sign of life for all. */
  renew(): Promise<void>;
  /** Resolves when no handler is at work. */
  idle(): Promise<void>;
  /** Strikes off what is handled, and gives back the rest, so that others have it at once. */
  giveBack(): Promise<void>;
}

/** The longest wait before Redis is told again that messages are handled, in milliseconds. */
const MAX_ACK_WAIT_MS = 1000;

export function createInHand({ settings, group, handler, stopping, onSettled }: InHandContext): InHand {
  const { failures, streams, claimIdleMs, retryDelayMs } = settings;
  const held = new Map(streams.map((stream) => [stream, new Set<string>()]));
  /** Handled, and not yet struck off. */
  let handled: StreamEntry[] = [];
  let acking: Promise<void> | undefined;
  const given = new AbortController();
  const lanes = createLanes();

  async function handle(entry: StreamEntry, message: ReceivedMessage): Promise<void> {
    // It is given back with the rest.
    if (stopping.aborted) return;
    try {
      await handler(message);
    } catch (error) {
      failures.failed(error, message);
      return postpone(entry);
    }
    failures.handled();
    handled.push(entry);
    acking ??= ack();
  }

  /** Lets Redis keep the time until it is due: then anybody takes it, also where this process is no more. */
  async function postpone({ stream, id, deliveries }: StreamEntry): Promise<void> {
    if (given.signal.aborted) return;
    const retryMs = retryDelayMs(deliveries);
    try {
      await group.hold(stream, [id], claimIdleMs - retryMs);
    } catch {
      // Its last sign of life gets older by itself: it is taken over later.
    }
    held.get(stream)!.delete(id);
    onSettled(retryMs);
  }

  async function ack(): Promise<void> {
    for (let tries = 1; handled.length > 0 && !given.signal.aborted; tries += 1) {
      // What ends in the same turn goes together.
      await turn();
      try {
        await ackOnce();
        tries = 0;
      } catch (error) {
        failures.failed(error);
        await pause(Math.min(50 * tries, MAX_ACK_WAIT_MS), given.signal);
      }
    }
    acking = undefined;
  }

  async function ackOnce(): Promise<void> {
    for (const stream of streams) {
      const ids = handled.filter((entry) => entry.stream === stream).map(({ id }) => id);
      if (ids.length === 0) continue;
      await group.ack(stream, ids);
      const acked = new Set(ids);
      handled = handled.filter((entry) => entry.stream !== stream || !acked.has(entry.id));
      for (const id of ids) held.get(stream)!.delete(id);
      onSettled();
    }
  }

  async function holdAll(idleMs: number): Promise<void> {
    for (const [stream, ids] of held) {
      if (ids.size > 0) await group.hold(stream, [...ids], idleMs);
    }
  }

  return {
    size: () => [...held.values()].reduce((size, ids) => size + ids.size, 0),
    idsOf: (stream) => held.get(stream)!,
    take(entry) {
      const message = messageOf(entry);
      held.get(entry.stream)!.add(entry.id);
      lanes.run(message.key, () => handle(entry, message));
    },
    renew: () => holdAll(0),
    idle: () => lanes.idle(),
    async giveBack() {
      given.abort();
      await acking;
      await ackOnce();
      await holdAll(claimIdleMs);
    },
  };
}
