/** A child process that runs the payment service, and dies by kill -9 at the point that `KILL_AT` names. */

import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import type { IdempotencyMessage } from 'graphql-idempotency';
import pg from 'pg';
import { faultPoint, faultPointNow } from '../../support/fault-point.ts';
import { startService } from '../../support/service.ts';
import { deferred } from '../../support/signal.ts';

/** What it says when it is ready. */
export interface Paying {
  readonly url: string;
}

const databaseUrl = process.env['CHILD_DATABASE_URL']!;
const redisUrl = process.env['CHILD_REDIS_URL'];

// A pool of the test's own, because every statement of an attempt passes by here.
const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
pool.on('error', () => {});
pool.on('connect', (client) => {
  const query = client.query.bind(client) as (...parameters: unknown[]) => unknown;
  client.query = ((...parameters: unknown[]) => {
    const [statement] = parameters as [{ readonly text?: string } | string];
    const text = typeof statement === 'string' ? statement : (statement.text ?? '');
    if (text.startsWith('begin')) faultPointNow('before-claim');
    if (text.includes('.complete(')) faultPointNow('before-record');
    return query(...parameters);
  }) as typeof client.query;
});

const written = deferred();
subscribe('graphql-idempotency', (message) => {
  const { type, event } = message as IdempotencyMessage & { readonly event?: string };
  if (type === 'redis' && event === 'written') written.resolve();
});

const redis =
  redisUrl === undefined
    ? undefined
    : new Redis(redisUrl, {
        enableOfflineQueue: false,
        maxRetriesPerRequest: 0,
        autoResendUnfulfilledCommands: false,
        commandTimeout: 10_000,
      });
if (redis !== undefined) {
  // Without a queue, a write before it is connected would fail.
  await once(redis, 'ready');
  const set = redis.set.bind(redis) as (...parameters: unknown[]) => Promise<'OK'>;
  redis.set = ((...parameters: unknown[]) => {
    faultPointNow('before-redis-write');
    return set(...parameters);
  }) as typeof redis.set;
}

const service = await startService({
  databaseUrl,
  redis: redis ?? false,
  options: {
    postgres: pool,
    migrate: false,
    redisPrefix: process.env['CHILD_REDIS_PREFIX'] ?? 'unused',
  },
  typeDefs: 'extend type Payment { settled: Boolean }',
  resolvers: () => ({
    // Resolved after the commit and before the response.
    Payment: {
      settled: async () => {
        await written.promise;
        faultPointNow('before-http-reply');
        return true;
      },
    },
  }),
  pay: async ({ tx, insert }) => {
    await faultPoint('before-resolver');
    if (process.env['CHILD_SLEEPS'] === 'true') await tx.query('select pg_sleep(60)');
    const payment = await insert();
    await faultPoint('in-resolver');
    return payment;
  },
});
process.send?.({ url: service.url } satisfies Paying);
