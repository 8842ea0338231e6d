/** A Redis of the test file's own, clients of it, and consumers that note what they get. */

import type {
  MessageConsumer,
  MessageHandler,
  ReceivedMessage,
} from '../../../src/brokers/received-message.ts';
import type { OutboxEvent } from 'graphql-idempotency';
import { consumeRedisStream } from 'graphql-idempotency/redis-streams';
import type { RedisStreamConsumerOptions } from 'graphql-idempotency/redis-streams';
import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { afterAll, onTestFinished } from 'vitest';
import { startRedis } from '../../support/redis-server.ts';
import type { RedisServer } from '../../support/redis-server.ts';

export interface StreamCase {
  readonly server: RedisServer;
  /** A client of the test's own, which outlives restarts. */
  readonly peek: Redis;
  /** A client as an application makes it; it is closed when the test ends. */
  readonly client: (options?: Omit<RedisOptions, 'replyMapping'>) => Redis;
  /** A consumer of the group `g`; it is stopped when the test ends. */
  readonly consume: (
    options: Partial<RedisStreamConsumerOptions>,
    handler?: MessageHandler,
  ) => NotingConsumer;
  /** What is pending in the group `g`, in the order of the entries. */
  readonly pending: (stream: string) => Promise<Pending[]>;
  /** The names in the group `g`. */
  readonly names: (stream: string) => Promise<string[]>;
  readonly entries: (stream: string) => Promise<ReadonlyMap<string, string>[]>;
}

export interface NotingConsumer extends MessageConsumer {
  /** What its handler was called with, in that order. */
  readonly got: readonly ReceivedMessage[];
  /** What its handler has resolved for, in that order, as text. */
  readonly done: readonly string[];
  readonly errors: readonly unknown[];
}

export interface Pending {
  readonly id: string;
  readonly consumer: string;
  readonly idleMs: number;
  readonly deliveries: number;
}

/** A busy machine is no fault. */
export const PATIENCE = { timeoutMs: 30_000 };

let streams = 0;

/** A stream that no other test uses. */
export const newStream = (): string => `stream-${String((streams += 1)).padStart(3, '0')}`;

/** An event as a relay gives it. */
export function eventOf(payload: string, more: Partial<OutboxEvent> = {}): OutboxEvent {
  return {
    id: `id-of-${payload}`,
    topic: 't',
    key: undefined,
    payload: Buffer.from(payload),
    headers: { 'content-type': 'text/plain' },
    createdAt: new Date('2026-01-02T03:04:05.678Z'),
    attempt: 1,
    ...more,
  };
}

/** Ends with the test file. */
export async function startStreamCase(settings: Readonly<Record<string, string>> = {}): Promise<StreamCase> {
  const server = await startRedis({ settings });
  const peek = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  peek.on('error', () => {});
  ends.push(async () => {
    peek.disconnect();
    await server.remove();
  });
  const client = (options: Omit<RedisOptions, 'replyMapping'> = {}): Redis => {
    const redis = new Redis({
      port: server.port,
      commandTimeout: 10_000,
      retryStrategy: () => 20,
      ...options,
    });
    redis.on('error', () => {});
    onTestFinished(() => redis.disconnect());
    return redis;
  };
  return {
    server,
    peek,
    client,
    consume(options, handler = () => {}) {
      const got: ReceivedMessage[] = [];
      const done: string[] = [];
      const errors: unknown[] = [];
      const consumer = consumeRedisStream(
        {
          redis: peek,
          group: 'g',
          backoffMs: 1,
          onError: (error) => void errors.push(error),
          ...options,
        },
        async (message) => {
          got.push(message);
          await handler(message);
          done.push(message.payload.toString());
        },
      );
      onTestFinished(() => consumer.stop());
      return Object.assign(consumer, { got, done, errors });
    },
    async pending(stream) {
      const rows = (await peek.xpending(stream, 'g', '-', '+', 1000)) as [string, string, number, number][];
      return rows.map(([id, consumer, idleMs, deliveries]) => ({ id, consumer, idleMs, deliveries }));
    },
    async names(stream) {
      const rows = (await peek.xinfo('CONSUMERS', stream, 'g')) as unknown[][];
      return rows.map((row) => row[row.indexOf('name') + 1] as string).toSorted();
    },
    async entries(stream) {
      const rows = await peek.xrange(stream, '-', '+');
      return rows.map(([, fields]) => {
        const pairs = Array.from({ length: fields.length / 2 }, (_, at) => fields.slice(2 * at, 2 * at + 2));
        return new Map(pairs as [string, string][]);
      });
    },
  };
}

const ends: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const end of ends) await end();
});
