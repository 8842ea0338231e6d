/** Publishes events of the outbox to Redis Streams. */

import type { Redis, RedisOptions } from 'ioredis';
import type { OutboxEvent, Publisher, PublishOutcome } from '../../outbox/publisher.ts';
import { refuseUnknownOptions, wrongOption } from '../consumer-settings.ts';
import { fieldsOf } from './entry.ts';
import { connected } from './ready.ts';
import type { RedisClient } from './ready.ts';

export interface RedisStreamsPublisherOptions {
  /**
   * Your client of `ioredis`. It is never closed here. Give it a `commandTimeout`, such as 5000: without one, a
   * Redis that has frozen is found out by `publishTimeoutMs` of the relay only.
   */
  readonly redis: RedisClient;
  /** The stream, or the stream of each event. @defaultValue the event's topic */
  readonly stream?: string | ((event: OutboxEvent) => string) | undefined;
  /**
   * About how many entries a stream keeps (`MAXLEN ~`). What is trimmed before all groups have read it is lost to them.
   *
   * @defaultValue all
   */
  readonly maxLength?: number | undefined;
}

type Entry = readonly [stream: string, ...args: (string | Buffer | number)[]];

const OWNER = { name: 'redisStreamsPublisher', own: ['redis', 'stream', 'maxLength'] };

/**
 * Makes a publisher that appends each event to a stream, those of one call together in one round trip; in a cluster
 * each goes to the node of its stream. An event may be in its stream more than once, always under the same id: after a
 * lost connection, nobody knows what was written. What counts as published is what Redis has answered: how durable
 * that is, is for its settings to say.
 *
 * @example
 * ```ts
 * const redis = new Redis(url, { commandTimeout: 5000 });
 * const relay = idempotency.relay({ publisher: redisStreamsPublisher({ redis }) });
 * relay.start();
 * ```
 * @throws TypeError naming the option that is wrong.
 */
export function redisStreamsPublisher(options: RedisStreamsPublisherOptions): Publisher {
  refuseUnknownOptions(options, OWNER);
  const { redis, stream, maxLength } = options;
  if (typeof redis?.pipeline !== 'function') throw wrong('redis', 'expects a client of ioredis');
  refuseHanging(redis);
  if (stream !== undefined && typeof stream !== 'function' && !isName(stream)) {
    throw wrong('stream', 'expects the name of a stream, or a function that returns one');
  }
  if (maxLength !== undefined && !(Number.isSafeInteger(maxLength) && maxLength >= 1)) {
    throw wrong('maxLength', 'expects a whole number of at least 1');
  }
  const trimming = maxLength === undefined ? [] : ['MAXLEN', '~', maxLength];

  function entryOf(event: OutboxEvent): Entry {
    const name: unknown =
      typeof stream === 'function' ? stream(event) : stream === undefined ? event.topic : stream;
    if (!isName(name)) throw wrong('stream', 'expects a function that returns the name of a stream');
    return [name, ...trimming, '*', ...fieldsOf(event)];
  }

  return {
    async publish(events) {
      // Not into the client's queue: every try at publishing would lie there until Redis is back, and go out then.
      await connected(redis);
      const entries = events.map((event): Entry | Error => {
        try {
          return entryOf(event);
        } catch (error) {
          return asError(error);
        }
      });
      const answers = await append(
        redis,
        entries.filter((entry): entry is Entry => !isError(entry)),
      );
      const next = answers.values();
      return entries.map((entry) => (isError(entry) ? entry : outcomeOf(next.next().value)));
    },
  };
}

/**
 * A client that does not send again what was not answered drops it when its connection breaks, and tells nobody: the
 * call would never end. The connections of a cluster tell it all the same.
 */
function refuseHanging({ isCluster, options }: RedisClient): void {
  if (isCluster) return;
  const { autoResendUnfulfilledCommands, commandTimeout, maxRetriesPerRequest } = options as RedisOptions;
  if (autoResendUnfulfilledCommands !== false || commandTimeout !== undefined || maxRetriesPerRequest === 0) {
    return;
  }
  throw wrong(
    'redis',
    'would never end where its connection breaks: with `autoResendUnfulfilledCommands: false`, it needs a `commandTimeout`',
  );
}

/** What Redis has answered to each, or the error. */
async function append(redis: RedisClient, entries: readonly Entry[]): Promise<unknown[]> {
  if (redis.isCluster) {
    // One by one, because a pipeline goes to one node; the client writes them side by side all the same.
    const settled = await Promise.allSettled(entries.map(async (entry) => (redis as Redis).xadd(...entry)));
    return settled.map((one) => (one.status === 'fulfilled' ? one.value : asError(one.reason)));
  }
  const pipeline = redis.pipeline();
  for (const entry of entries) pipeline.xadd(...entry);
  return ((await pipeline.exec()) ?? []).map(([error, id]) => error ?? id);
}

/** Only an id says that Redis has the entry. Whatever else comes, the event is tried again. */
function outcomeOf(answer: unknown): PublishOutcome {
  if (typeof answer === 'string' && answer !== '') return undefined;
  return answer instanceof Error ? answer : new Error('Redis has not answered with the id of an entry');
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('not published', { cause: thrown });
}

function isError(entry: Entry | Error): entry is Error {
  return entry instanceof Error;
}

function isName(name: unknown): name is string {
  return typeof name === 'string' && name !== '';
}

function wrong(option: keyof RedisStreamsPublisherOptions, problem: string): TypeError {
  return wrongOption(OWNER.name, option, problem);
}
