/** What a consumer of Redis Streams is told, checked. */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { readConsumerOptions, readNumberOption, wrongOption } from '../consumer-settings.ts';
import type { ConsumerSettings } from '../consumer-settings.ts';
import type { ConsumerOptions } from '../received-message.ts';
import type { RedisClient } from './ready.ts';

export interface RedisStreamConsumerOptions extends ConsumerOptions {
  /** Your client of `ioredis`: its settings are used for connections of the consumer's own. */
  readonly redis: RedisClient;
  /** The stream that is read, or else give `streams`. */
  readonly stream?: string | undefined;
  /** The streams that are read, or else give `stream`. In a cluster, one only. */
  readonly streams?: readonly string[] | undefined;
  /** Consumers of one group share the messages. It is made where there is none, from the stream's beginning. */
  readonly group: string;
  /** The name in the group; each consumer that runs must have its own. @defaultValue host, process and a random part */
  readonly consumer?: string | undefined;
  /**
   * After how long without a sign of life from its consumer a message is taken over by another, in milliseconds. A
   * handler may take longer: as long as its process lives, it gives signs. `maxBackoffMs` may not exceed it.
   *
   * @defaultValue 60000
   */
  readonly claimIdleMs?: number | undefined;
  /** How many messages are read at once, at most; never more than may be handled at that moment. @defaultValue 100 */
  readonly batchSize?: number | undefined;
}

export interface RedisStreamSettings extends ConsumerSettings {
  readonly redis: RedisClient;
  readonly streams: readonly string[];
  readonly group: string;
  readonly consumer: string;
  readonly claimIdleMs: number;
  readonly batchSize: number;
}

const NAME = 'consumeRedisStream';

/** An object, so that none can be forgotten. */
const own: Record<Exclude<keyof RedisStreamConsumerOptions, keyof ConsumerOptions>, true> = {
  redis: true,
  stream: true,
  streams: true,
  group: true,
  consumer: true,
  claimIdleMs: true,
  batchSize: true,
};

const DEFAULT_MAX_BACKOFF_MS = 60_000;

/** @throws TypeError naming the option that is wrong or unknown. */
export function readRedisStreamOptions(options: RedisStreamConsumerOptions): RedisStreamSettings {
  const owner = { name: NAME, own: Object.keys(own) };
  // For its checks: what is unknown, or no object, is said first.
  readConsumerOptions(options, owner);
  const { redis, group, consumer = newName() } = options;
  if (typeof redis?.duplicate !== 'function') throw wrongOption(NAME, 'redis', 'expects a client of ioredis');
  const range = { default: 60_000, min: 100, max: 86_400_000 };
  const claimIdleMs = readNumberOption(NAME, 'claimIdleMs', options.claimIdleMs, range);
  // Redis keeps the time of the wait: as a message that is that much short of being taken over.
  if ((options.maxBackoffMs ?? 0) > claimIdleMs) {
    throw wrongOption(NAME, 'maxBackoffMs', 'must not exceed `claimIdleMs`');
  }
  const maxBackoffMs = options.maxBackoffMs ?? Math.min(DEFAULT_MAX_BACKOFF_MS, claimIdleMs);
  for (const [name, value] of Object.entries({ group, consumer })) {
    if (!isName(value)) throw wrongOption(NAME, name, 'expects a name');
  }
  return {
    ...readConsumerOptions({ ...options, maxBackoffMs }, owner),
    redis,
    streams: readStreams(options),
    group,
    consumer,
    claimIdleMs,
    batchSize: readNumberOption(NAME, 'batchSize', options.batchSize, { default: 100, min: 1, max: 10_000 }),
  };
}

function readStreams({ redis, stream, streams }: RedisStreamConsumerOptions): readonly string[] {
  if ((stream === undefined) === (streams === undefined)) {
    throw new TypeError(`${NAME}() expects either \`stream\` or \`streams\`.`);
  }
  if (stream !== undefined) {
    if (isName(stream)) return [stream];
    throw wrongOption(NAME, 'stream', 'expects the name of a stream');
  }
  if (!Array.isArray(streams) || streams.length === 0 || !streams.every(isName)) {
    throw wrongOption(NAME, 'streams', 'expects a list of at least one name of a stream');
  }
  const names = [...new Set(streams as readonly string[])];
  // They lie on different nodes, and a read that waits can wait on one of them only.
  if (redis.isCluster && names.length > 1) {
    throw wrongOption(NAME, 'streams', 'expects one stream in a cluster; start a consumer for each');
  }
  return names;
}

function isName(name: unknown): boolean {
  return typeof name === 'string' && name !== '';
}

function newName(): string {
  return `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
}
