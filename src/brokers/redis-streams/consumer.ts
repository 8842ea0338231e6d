/** Consumes Redis Streams by a group: a message is struck off only when it has been handled. */

import type { MessageConsumer, MessageHandler } from '../received-message.ts';
import { reconnectDelayMs } from '../reconnect-delay.ts';
import { readRedisStreamOptions } from './consumer-options.ts';
import type { RedisStreamConsumerOptions, RedisStreamSettings } from './consumer-options.ts';
import type { StreamEntry } from './entry.ts';
import { createInHand } from './in-hand.ts';
import { ownConnection } from './own-connection.ts';
import { pause } from './pause.ts';
import { connected } from './ready.ts';
import { createSchedule } from './schedule.ts';
import { lacksGroup, streamGroup } from './stream-group.ts';

/** How long a read waits for messages, in milliseconds, and so how long `stop` waits for the read. */
const READ_WAIT_MS = 500;
const MAX_LOOK_MS = 5000;
/** Where so many failed messages wait, no new ones are read: whatever is down would let the whole stream fail. */
const MAX_WAITING = 1000;
/** Names of consumers that were killed stay behind. */
const UNUSED_MS = 86_400_000;

/**
 * Reads streams as a member of a group, until it is stopped. A message that was handled is struck off; one whose
 * handler rejects comes again after a while, to any consumer of the group, and others go on meanwhile. Each comes at
 * least once, so that the handler must be able to take it twice: `idempotency.inbox.process` is. It survives a Redis
 * that restarts, and makes stream and group where they are missing.
 *
 * @example
 * ```ts
 * const consumer = consumeRedisStream(
 *   { redis, stream: 'payment.captured', group: 'ledger' },
 *   (message) => idempotency.inbox.process({ consumer: 'ledger', ...message }, (tx) => book(tx, message)),
 * );
 * ```
 * @throws TypeError naming the option that is wrong.
 */
export function consumeRedisStream(
  options: RedisStreamConsumerOptions,
  handler: MessageHandler,
): MessageConsumer {
  const settings = readRedisStreamOptions(options);
  if (typeof handler !== 'function') throw new TypeError('consumeRedisStream() expects a handler.');
  let ending: Promise<void> | undefined;
  const end = startConsumer(settings, handler);
  const stop = (): Promise<void> => (ending ??= end());
  return { stop, [Symbol.asyncDispose]: stop };
}

/** Returns how to end it. */
function startConsumer(settings: RedisStreamSettings, handler: MessageHandler): () => Promise<void> {
  const { redis, streams, concurrency, batchSize, claimIdleMs, failures, stopTimeoutMs } = settings;
  const stopper = new AbortController();
  const stopping = stopper.signal;
  const reader = ownConnection(redis, (error) => void (stopping.aborted || failures.failed(error)));
  // That Redis is down is said once.
  const writer = ownConnection(redis, () => {});
  const group = streamGroup({ ...settings, reader, writer });
  const schedule = createSchedule(Math.min(claimIdleMs / 4, MAX_LOOK_MS));
  let roomMade = (): void => {};
  const inHand = createInHand({
    settings,
    group,
    handler,
    stopping,
    onSettled(retryMs) {
      if (retryMs !== undefined) schedule.dueIn(retryMs);
      roomMade();
    },
  });
  // A handler may take longer than a message may be without a sign of life: another would take it over and handle it
  // at the same time.
  let renewing = false;
  async function renew(): Promise<void> {
    if (renewing) return;
    renewing = true;
    try {
      await inHand.renew();
    } catch (error) {
      if (writer.status === 'ready' && !lacksGroup(error)) failures.failed(error);
    }
    renewing = false;
  }
  const renewal = setInterval(() => void renew(), claimIdleMs / 3);
  /** Taken by turns, so that no stream is always the last. */
  let first = 0;

  const room = (): number => Math.min(batchSize, concurrency - inHand.size());

  async function waitForRoom(): Promise<void> {
    await new Promise<void>((resolve) => {
      roomMade = resolve;
      if (room() > 0 || stopping.aborted) resolve();
    });
  }

  async function takeOver(turns: readonly string[]): Promise<void> {
    if (schedule.wait() > 0) return;
    let more = false;
    for (const stream of turns) {
      if (room() <= 0) more = true;
      else {
        const { entries, full } = await group.claim(stream, room(), inHand.idsOf(stream));
        take(entries);
        more ||= full;
      }
    }
    schedule.looked(more);
  }

  async function readNew(turns: readonly string[]): Promise<void> {
    const waitMs = Math.max(1, Math.ceil(Math.min(READ_WAIT_MS, schedule.wait())));
    if (schedule.waiting() >= MAX_WAITING) return pause(waitMs, stopping);
    if (turns.length > 1) {
      const before = inHand.size();
      for (const stream of turns) if (room() > 0) take(await group.read([stream], room()));
      if (inHand.size() > before) return;
    }
    // Of several streams one message each, and not of all where there is no room for so many: no more is taken than
    // may be handled.
    const some = turns.slice(0, Math.max(1, room()));
    if (room() > 0) take(await group.read(some, turns.length > 1 ? 1 : room(), waitMs));
  }

  function take(entries: readonly StreamEntry[]): void {
    for (const entry of entries) inHand.take(entry);
  }

  async function run(): Promise<void> {
    let grouped = false;
    let failed = 0;
    while (!stopping.aborted) {
      try {
        await Promise.all([connected(reader, stopping), connected(writer, stopping)]);
        if (!grouped) for (const stream of streams) await group.create(stream);
        grouped = true;
        if (room() <= 0) await waitForRoom();
        const turns = [...streams.slice(first), ...streams.slice(0, first)];
        first = (first + 1) % streams.length;
        if (room() > 0 && !stopping.aborted) await takeOver(turns);
        if (room() > 0 && !stopping.aborted) await readNew(turns);
        failures.reached();
        failed = 0;
      } catch (error) {
        if (lacksGroup(error)) grouped = false;
        // That it is not connected is said by the connection, which knows why.
        if (reader.status === 'ready' && !stopping.aborted) failures.failed(error);
        failed += 1;
        await pause(reconnectDelayMs(failed), stopping);
      }
    }
  }

  const running = run();
  return async () => {
    stopper.abort();
    roomMade();
    const waited = new AbortController();
    await Promise.all([
      running,
      Promise.race([inHand.idle(), pause(stopTimeoutMs, waited.signal)]).then(() => waited.abort()),
    ]);
    clearInterval(renewal);
    try {
      await inHand.giveBack();
      for (const stream of streams) await group.leave(stream, UNUSED_MS);
    } catch {
      // Redis cannot be told. Others take over what is pending when its time has come.
    }
    reader.disconnect();
    writer.disconnect();
  };
}
