/** The payment service with a Redis of the test's own in front, and eyes on both. */

import { channel } from 'node:diagnostics_channel';
import { Redis } from 'ioredis';
import { afterAll, expect } from 'vitest';
import type { IdempotencyMessage, RedisEvent } from 'graphql-idempotency';
import { createDatabase } from '../../support/database.ts';
import { startRedis } from '../../support/redis-server.ts';
import type { RedisServer } from '../../support/redis-server.ts';
import { startService } from '../../support/service.ts';
import type { Reply, SendOptions, Service, ServiceOptions } from '../../support/service.ts';
import { eventually } from '../../support/signal.ts';

export interface RedisCase {
  readonly redis: RedisServer;
  /** A client of the test's own. */
  readonly peek: Redis;
  readonly databaseUrl: string;
  /** Starts a service on both; it stops with the test file. */
  start(options?: Partial<ServiceOptions>): Promise<Service>;
  /** The library's entries, by name. */
  entries(): Promise<string[]>;
  /** Waits until there are so many entries: they are written after the answer. */
  written(count: number): Promise<string[]>;
}

/** What the end of the file ends; a hook that is set up inside another hook never runs. */
const endings: (() => Promise<void>)[] = [];
afterAll(async () => {
  await Promise.all(endings.map((end) => end()));
});

/** Starts a Redis and makes a database; both go with the test file. */
export async function startRedisCase(settings: Readonly<Record<string, string>> = {}): Promise<RedisCase> {
  const [redis, database] = await Promise.all([startRedis({ settings }), createDatabase({ migrated: true })]);
  const peek = new Redis(redis.url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  peek.on('error', () => undefined);
  const services: Service[] = [];
  endings.push(async () => {
    await Promise.all(services.map((service) => service.stop()));
    peek.disconnect();
    await redis.remove();
    await database.drop();
  });
  const entries = async (): Promise<string[]> => (await peek.keys('idempotency:*')).sort();
  return {
    redis,
    peek,
    databaseUrl: database.url,
    async start(options = {}) {
      const service = await startService({
        databaseUrl: database.url,
        redis: redis.url,
        ...options,
        // A busy machine is no fault: the tests of slow servers set their own.
        options: { redisTimeout: 2000, redisConnectTimeout: 2000, ...options.options },
      });
      services.push(service);
      return service;
    },
    entries,
    written: (count) =>
      eventually(
        async () => {
          const found = await entries();
          return found.length === count && found;
        },
        { what: `${count} entries in Redis` },
      ),
  };
}

/** The library's own account of what happened with Redis, from now on. */
export interface RedisEvents {
  readonly names: readonly RedisEvent[];
  /** What lookups found, in order. */
  readonly lookups: readonly RedisEvent[];
  readonly errors: readonly unknown[];
  count(name: RedisEvent): number;
  clear(): void;
}

const LOOKUPS = new Set<RedisEvent>(['hit', 'miss', 'forged', 'unreadable']);

export function watchRedisEvents(): RedisEvents {
  const seen: Extract<IdempotencyMessage, { type: 'redis' }>[] = [];
  channel('graphql-idempotency').subscribe((message) => {
    const published = message as IdempotencyMessage;
    if (published.type === 'redis') seen.push(published);
  });
  return {
    get names() {
      return seen.map(({ event }) => event);
    },
    get lookups() {
      return seen.flatMap(({ event }) => (LOOKUPS.has(event) ? [event] : []));
    },
    get errors() {
      return seen.flatMap(({ error }) => (error === undefined ? [] : [error]));
    },
    count: (name) => seen.filter(({ event }) => event === name).length,
    clear: () => {
      seen.length = 0;
    },
  };
}

let keys = 0;

/** A key that no other call uses. */
export function newKey(): string {
  keys += 1;
  return `key-${keys}`;
}

/** Sends a call for the first time, and holds it against the promise. */
export async function executes(service: Service, options: SendOptions): Promise<Reply> {
  const before = (await service.payments()).length;
  const reply = await service.send(options);
  expect(reply.body).toMatchObject({ data: { pay: { id: expect.any(String), amount: 100 } } });
  expect(reply.body.extensions.idempotency.pay.outcome).toBe('executed');
  expect(reply.headers.get('idempotent-replayed')).toBeNull();
  expect(await service.payments()).toHaveLength(before + 1);
  return reply;
}

/** Sends a call again: the answer is the first one, and nothing happens. */
export async function replays(service: Service, options: SendOptions, first: Reply): Promise<Reply> {
  const before = await service.payments();
  const runs = service.runs();
  const reply = await service.send(options);
  expect(reply.status).toBe(200);
  expect(reply.body.data).toEqual(first.body.data);
  expect(reply.body.errors).toBeUndefined();
  expect(reply.body.extensions.idempotency.pay.outcome).toBe('replayed');
  expect(reply.headers.get('idempotent-replayed')).toBe('true');
  expect(service.runs()).toBe(runs);
  expect(await service.payments()).toEqual(before);
  return reply;
}
