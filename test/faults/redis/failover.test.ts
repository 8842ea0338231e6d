/** Postgres stops, or fails over to a standby, behind a Redis that remembers. */

import pg from 'pg';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspect } from '../../../src/store/postgres/inspection.ts';
import { statementsFor } from '../../../src/store/postgres/statements.ts';
import { redisPrefix, redisUrl } from '../../support/database.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { PostgresProxy } from '../../support/postgres-proxy.ts';
import { startPostgres } from '../../support/postgres-server.ts';
import type { PostgresServer } from '../../support/postgres-server.ts';
import { startService } from '../../support/service.ts';
import type { Service } from '../../support/service.ts';
import { eventually } from '../../support/signal.ts';
import { executes, newKey, replays, watchRedisEvents } from './redis-case.ts';

const events = watchRedisEvents();
const prefix = redisPrefix();
const peek = new Redis(redisUrl());
let primary: PostgresServer;
let proxy: PostgresProxy;
let service: Service;
/** The same, but replays nothing that Postgres cannot be asked about. */
let cautious: Service;

beforeAll(async () => {
  primary = await startPostgres();
  proxy = await startPostgresProxy({ target: primary.url });
  const shared = { databaseUrl: proxy.url, redis: redisUrl() };
  // Short timeouts, so that an answer without Postgres comes soon.
  const options = { redisPrefix: prefix, acquireTimeout: 2000, claimTimeout: 2000, redisTimeout: 1000 };
  service = await startService({ ...shared, options });
  cautious = await startService({ ...shared, options: { ...options, replayWithoutDatabase: false } });
});
afterAll(async () => {
  await Promise.all([service.stop(), cautious.stop()]);
  peek.disconnect();
  await proxy.close();
  await primary.remove();
});

const written = (count: number): Promise<boolean> =>
  eventually(async () => (await peek.keys(`${prefix}*`)).length === count);

async function tagOf(server: PostgresServer): Promise<string> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    const { origin } = await inspect(
      client as never,
      statementsFor('graphql_idempotency'),
      'graphql_idempotency',
    );
    return origin.tag;
  } finally {
    await client.end();
  }
}

describe('with Postgres stopped (22)', () => {
  test('completed keys replay from Redis; nothing else is executed or refused for good', async () => {
    const key = newKey();
    const runs = service.runs();
    const first = await service.send({ key });
    const careful = newKey();
    const other = await cautious.send({ key: careful });
    await written(2);
    await primary.stop('fast');

    for (let call = 0; call < 3; call += 1) {
      const again = await service.send({ key });
      expect(again.body.data).toEqual(first.body.data);
      expect(again.headers.get('idempotent-replayed')).toBe('true');
    }
    expect((await service.send({ key, variables: { amount: 1 } })).code).toBe('IDEMPOTENCY_KEY_REUSED');
    const unknown = await service.send({ key: newKey() });
    expect([unknown.status, unknown.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
    expect(unknown.body.errors[0].extensions.retryable).toBe(true);
    expect(unknown.headers.get('retry-after')).toBe('1');
    expect(JSON.stringify(unknown.body)).not.toMatch(/ECONN|postgres|127\.0/i);
    expect(service.runs()).toBe(runs + 1);

    const refused = await cautious.send({ key: careful });
    expect([refused.status, refused.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);

    await primary.start();
    const back = await cautious.send({ key: careful });
    expect(back.body.data).toEqual(other.body.data);
    await executes(service, { key: newKey() });
  });
});

describe('after a failover to a standby that missed a commit (23)', () => {
  test('the tag of the promoted timeline is another, and the lost success is not replayed', async () => {
    const standby = await primary.startStandby();
    try {
      const before = await tagOf(primary);
      await expect(tagOf(standby)).rejects.toThrow(/replica/);
      // Nothing that is committed from here on reaches the standby.
      await standby.stop('fast');
      const kept = newKey();
      await primary.stop('fast');
      await primary.start();
      expect(await tagOf(primary), 'a restart alone changes nothing').toBe(before);

      const entries = (await peek.keys(`${prefix}*`)).length;
      const careful = newKey();
      for (const [which, key] of [
        [service, kept],
        [cautious, careful],
      ] as const) {
        expect((await which.send({ key })).body.data.pay.amount).toBe(100);
      }
      await written(entries + 2);
      await primary.kill();
      proxy.retarget(standby.url);
      await standby.start();
      await query(standby, 'select pg_promote()');
      expect(await tagOf(standby)).not.toBe(before);

      // Who asks Postgres before every replay learns it in time for the first one.
      await executes(cautious, { key: careful });
      // The first call that reaches the new primary tells this process that it is another database.
      await eventually(async () => (await service.send({ key: newKey() })).status === 200);
      events.clear();
      const anew = await executes(service, { key: kept });
      expect(events.names).toContain('miss');
      expect(events.names).not.toContain('hit');
      await written(entries + 5);
      await replays(service, { key: kept }, anew);
    } finally {
      await standby.remove();
      await primary.start();
      proxy.retarget(primary.url);
    }
  });
});

async function query(server: PostgresServer, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query(sql);
  await client.end();
}
