/** Makes the two tiers from the configuration. Nothing above this room knows what they are made of. */

import { resolve } from 'node:path';
import { Redis } from 'ioredis';
import type { Cluster, RedisOptions } from 'ioredis';
import type { Pool } from 'pg';
import type { Config } from '../config/config.ts';
import { ConfigurationError } from '../errors/configuration-error.ts';
import { StoreClock } from './clock.ts';
import { EmbeddedPool } from './embedded/embedded-pool.ts';
import { openEmbeddedPostgres } from './embedded/embedded-postgres.ts';
import type { DurableStore, FastTier, Origin } from './port.ts';
import type { Ambient } from './postgres/ambient/ambient.ts';
import type { MigrationResult } from './postgres/migrator.ts';
import { postgresStore } from './postgres/postgres-store.ts';
import type { ConnectionSource } from './postgres/pools.ts';
import { checkFailFast, failFastOptions } from './redis/fail-fast.ts';
import { noFastTier, redisTier } from './redis/redis-tier.ts';

export interface Stores {
  readonly durable: DurableStore;
  readonly fast: FastTier;
  /** The embedded database, where the records are in it. */
  readonly embedded: Pool | undefined;
  migrate(): Promise<MigrationResult>;
  close(): Promise<void>;
}

/** How often Postgres looks whether its client still lives while a statement runs. */
const CONNECTION_CHECK_MS = 1000;

/**
 * Connects to both tiers without checking the schema yet.
 *
 * @throws ConfigurationError for a folder that another process holds, or a Redis client that would hang.
 */
export async function openStores(config: Config, ambient: Ambient): Promise<Stores> {
  const { settings, logger } = config;
  checkRunner(config);
  const clock = new StoreClock();
  let origin: Origin | undefined;

  const redis = redisClient(config);
  // Made first, because it listens to the client's errors from here on.
  const fast =
    redis === undefined
      ? noFastTier
      : redisTier({
          ...redis,
          prefix: settings.redisPrefix,
          timeoutMs: settings.redisTimeout,
          clock,
          origin: () => origin,
        });
  const opened = [() => fast.close()];
  const close = async (): Promise<void> => {
    for (const closeOne of opened) await closeOne();
  };
  try {
    const embedded =
      config.postgres.kind === 'embedded'
        ? new EmbeddedPool(await openEmbeddedPostgres({ folder: resolve(settings.embeddedFolder) }))
        : undefined;
    if (embedded !== undefined) {
      opened.push(() => embedded.end());
      logger.info(
        `graphql-idempotency keeps its records in the embedded database in ${settings.embeddedFolder}: no other process sees them. Set IDEMPOTENCY_DATABASE_URL or DATABASE_URL to use a Postgres server.`,
      );
    }
    const source = sourceOf(config, embedded);
    const isEmbedded = source.single;
    const postgres = postgresStore({
      source,
      settings,
      ambient,
      run: config.transaction,
      connectionCheckMs: isEmbedded ? 0 : CONNECTION_CHECK_MS,
      serverTimeouts: !isEmbedded,
      onClock: (clockMs, askedMs) => clock.observe(clockMs, askedMs),
      onInspection: (inspection) => {
        origin = inspection.origin;
        clock.observe(inspection.clockMs, inspection.askedMs);
      },
    });
    opened.splice(1, 0, () => postgres.close());
    if (isEmbedded || settings.migrate) await postgres.migrate();

    if (redis === undefined)
      logger.info('graphql-idempotency runs without Redis: replays come from Postgres.');
    else await ready(redis.client, settings.redisConnectTimeout);
    return { durable: postgres, fast, embedded, migrate: () => postgres.migrate(), close };
  } catch (error) {
    // What stays open would keep a process alive that has failed to start, and pile up where it tries again.
    await close();
    throw error;
  }
}

/** With a single connection, nobody could look what became of a transaction that a library still holds open. */
function checkRunner({ postgres, transaction }: Config): void {
  const embedded =
    postgres.kind === 'embedded' || (postgres.kind === 'pool' && postgres.pool instanceof EmbeddedPool);
  if (transaction === undefined || !embedded) return;
  throw new ConfigurationError(
    'The option `transaction` needs a Postgres server, the one that the library itself uses: set IDEMPOTENCY_DATABASE_URL (or DATABASE_URL), or the option `postgres`. The embedded database is a single connection.',
  );
}

function sourceOf({ postgres }: Config, embedded: Pool | undefined): ConnectionSource {
  switch (postgres.kind) {
    case 'pool':
      return { pool: postgres.pool, single: postgres.pool instanceof EmbeddedPool };
    case 'config':
      return { config: postgres.config, single: false };
    case 'embedded':
      return { pool: embedded!, single: true };
  }
}

function redisClient(
  config: Config,
): { readonly client: Redis | Cluster; readonly owned: boolean } | undefined {
  const { redis, settings } = config;
  switch (redis.kind) {
    case 'none':
      return undefined;
    case 'client':
      checkFailFast(redis.client);
      return { client: redis.client, owned: false };
    case 'url':
      return { client: new Redis(redis.url, failFastOptions(settings)), owned: true };
    case 'options':
      return {
        client: new Redis({
          ...(redis.options as Omit<RedisOptions, 'replyMapping'>),
          ...failFastOptions(settings),
        }),
        owned: true,
      };
  }
}

/** Gives a Redis that is up the moment it needs; one that is down costs no more than that. */
async function ready(client: Redis | Cluster, timeoutMs: number): Promise<void> {
  if (client.status === 'ready') return;
  await new Promise<void>((resolveReady) => {
    const timer = setTimeout(done, timeoutMs);
    function done(): void {
      clearTimeout(timer);
      client.off('ready', done);
      client.off('error', done);
      resolveReady();
    }
    client.on('ready', done);
    client.on('error', done);
  });
}
