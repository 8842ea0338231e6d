/** The service with both of its stores behind proxies that count. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { onTestFinished } from 'vitest';
import { createDatabase, redisPrefix, redisUrl } from '../support/database.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import type { PostgresProxy } from '../support/postgres-proxy.ts';
import { startRedisProxy } from '../support/redis-proxy.ts';
import type { RedisProxy } from '../support/redis-proxy.ts';
import { startService } from '../support/service.ts';
import type { Service, ServiceOptions } from '../support/service.ts';
import { eventually } from '../support/signal.ts';

export interface ProxiedService {
  readonly databaseUrl: string;
  readonly service: Service;
  readonly postgres: PostgresProxy;
  readonly redis: RedisProxy;
  readonly prefix: string;
  /** Sets the counts of both to zero, once the writes behind the answers are done. */
  readonly reset: () => Promise<void>;
}

export interface ProxiedOptions extends Omit<ServiceOptions, 'databaseUrl' | 'redis'> {
  /** @defaultValue one of its own */
  readonly databaseUrl?: string;
  /** @defaultValue true */
  readonly redis?: boolean;
  /** @defaultValue 25 */
  readonly replyDelayMs?: number;
}

/** Starts it on a database of its own, and warms up: what a connection costs when it is new is not counted. */
export async function startProxied({
  redis: withRedis = true,
  replyDelayMs = 25,
  databaseUrl,
  ...rest
}: ProxiedOptions = {}): Promise<ProxiedService> {
  const url = databaseUrl ?? (await createDatabase({ migrated: true })).url;
  const postgres = await startPostgresProxy({ target: url, replyDelayMs });
  const redis = await startRedisProxy({ target: redisUrl() });
  const prefix = redisPrefix();
  const service = await startService({
    databaseUrl: url,
    ...rest,
    redis: withRedis ? redis.url : false,
    options: {
      postgres: postgres.url,
      redisPrefix: prefix,
      redisTimeout: 20_000,
      migrate: false,
      ...rest.options,
    },
  });
  onTestFinished(async () => {
    await Promise.all([postgres.healAll(), redis.healAll()]);
    await service.stop();
    await Promise.all([postgres.close(), redis.close()]);
  });

  const signals = listen();
  async function reset(): Promise<void> {
    // The write to Redis goes on behind the answer, and belongs to what was before.
    if (withRedis)
      await eventually(() => signals.written === signals.executed, { what: 'the writes to Redis' });
    postgres.reset();
    redis.reset();
  }

  await service.send({ key: 'warm-up' });
  await reset();
  return { databaseUrl: url, service, postgres, redis, prefix, reset };
}

/** Follows what the library publishes, until the test ends. */
function listen(): { executed: number; written: number } {
  const signals = { executed: 0, written: 0 };
  const listener = (message: unknown): void => {
    const { type, event, outcome } = message as { type: string; event?: string; outcome?: string };
    if (type === 'redis' && event === 'written') signals.written += 1;
    if (type === 'answered' && outcome === 'executed') signals.executed += 1;
  };
  subscribe('graphql-idempotency', listener);
  onTestFinished(() => void unsubscribe('graphql-idempotency', listener));
  return signals;
}
