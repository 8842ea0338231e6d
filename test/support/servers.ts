/** Starts the servers that all test files share, before the first file, and ends them after the last. */

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startPostgres } from './postgres-server.ts';
import { startRedis } from './redis-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The shared Postgres, as a user who may create databases. */
    readonly databaseUrl: string;
    readonly redisUrl: string;
    /** Starts the name of every database of this run. */
    readonly databasePrefix: string;
  }
}

interface SharedServer {
  readonly url: string;
  readonly remove: () => Promise<void>;
}

/** Vitest's global set-up. `TEST_DATABASE_URL` and `TEST_REDIS_URL` name servers to use instead of starting some. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started = await Promise.allSettled([
    postgres(process.env['TEST_DATABASE_URL']),
    redis(process.env['TEST_REDIS_URL']),
  ]);
  const [database, cache] = started;
  if (database.status === 'rejected' || cache.status === 'rejected') {
    await Promise.all(started.flatMap((one) => (one.status === 'fulfilled' ? [one.value.remove()] : [])));
    throw new AggregateError(
      started.flatMap((one) => (one.status === 'rejected' ? [one.reason] : [])),
      `The tests need a real Postgres and a real Redis:\n${started.map(reason).join('\n')}`,
    );
  }
  const databasePrefix = `idempotency_test_${randomBytes(4).toString('hex')}_`;
  project.provide('databaseUrl', database.value.url);
  project.provide('redisUrl', cache.value.url);
  project.provide('databasePrefix', databasePrefix);
  return async () => {
    if (process.env['TEST_DATABASE_URL']) await dropDatabases(database.value.url, databasePrefix);
    await Promise.all([database.value.remove(), cache.value.remove()]);
  };
}

async function postgres(url: string | undefined): Promise<SharedServer> {
  if (!url) return startPostgres();
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  await client.connect().catch((cause: unknown) => {
    throw new Error('TEST_DATABASE_URL names a Postgres that cannot be reached', { cause });
  });
  await client.end();
  return { url, remove: async () => undefined };
}

async function redis(url: string | undefined): Promise<SharedServer> {
  if (!url) return startRedis();
  const { Redis } = await import('ioredis');
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.ping();
  } catch (cause) {
    throw new Error('TEST_REDIS_URL names a Redis that cannot be reached', { cause });
  } finally {
    client.disconnect();
  }
  return { url, remove: async () => undefined };
}

async function dropDatabases(url: string, prefix: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ datname: string }>(
    'select datname from pg_database where starts_with(datname, $1)',
    [prefix],
  );
  for (const { datname } of rows) {
    await client.query(`drop database if exists ${client.escapeIdentifier(datname)} with (force)`);
  }
  await client.end();
}

function reason(result: PromiseSettledResult<SharedServer>): string {
  return result.status === 'rejected' ? String(result.reason) : '';
}
