/** What a call may ask of the two tiers, counted on the wire, and in which order. */

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { PostgresProxy } from '../../support/postgres-proxy.ts';
import { startRedisProxy } from '../../support/redis-proxy.ts';
import type { RedisProxy } from '../../support/redis-proxy.ts';
import type { Service } from '../../support/service.ts';
import { eventually, within } from '../../support/signal.ts';
import { executes, newKey, replays, startRedisCase, watchRedisEvents } from './redis-case.ts';
import type { RedisCase } from './redis-case.ts';

const events = watchRedisEvents();
let setting: RedisCase;
let postgres: PostgresProxy;
let redis: RedisProxy;
let service: Service;

beforeAll(async () => {
  setting = await startRedisCase();
  postgres = await startPostgresProxy({ target: setting.databaseUrl });
  redis = await startRedisProxy({ target: setting.redis.url });
  service = await setting.start({
    redis: redis.url,
    // Big enough that nothing here is decided by a busy machine.
    options: { postgres: postgres.url, commitTimeout: 3000, lockTimeout: 300, redisTimeout: 2000 },
    pay: ({ args, insert }) => {
      if (args.note === 'throws') throw new Error('no');
      return insert();
    },
  });
});
beforeEach(async () => {
  await setting.peek.flushall();
  reset();
});
afterEach(() => postgres.healAll());

function reset(): void {
  events.clear();
  postgres.reset();
  redis.reset();
}

describe('Redis is written only after COMMIT', () => {
  test.each([
    ['has not reached Postgres', { from: 'client', sql: /\bcommit\s*$/i }],
    ['is not answered', { from: 'server', type: 'CommandComplete', tag: 'COMMIT' }],
  ] as const)('while COMMIT %s, nothing is sent to it', async (_, message) => {
    const done = newKey();
    const first = await executes(service, { key: done });
    await setting.written(1);
    reset();
    const commit = postgres.on(message, 'hold');
    const sent = service.send({ key: newKey() });
    await commit.matched;
    // Redis carries commands out in order: had there been a SET, it would have come before this lookup.
    await replays(service, { key: done }, first);
    expect(redis.counts().commands).toEqual(['GET', 'GET']);
    commit.release();
    expect((await sent).status).toBe(200);
    await setting.written(2);
    expect(redis.counts().commands).toEqual(['GET', 'GET', 'SET']);
  });

  test('a COMMIT that never reached Postgres leaves no entry', async () => {
    const key = newKey();
    postgres.on({ from: 'client', sql: /\bcommit\s*$/i }, 'cut-before');
    const lost = await service.send({ key });
    expect(lost.code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    expect(redis.counts().commands).toEqual(['GET']);
    expect(await setting.entries()).toEqual([]);
    await executes(service, { key });
    await setting.written(1);
  });

  test('a COMMIT whose answer was lost is written when it has been found out that it happened', async () => {
    const key = newKey();
    postgres.on({ from: 'server', type: 'CommandComplete', tag: 'COMMIT' }, 'cut-before');
    const first = await service.send({ key });
    expect(first.body.data.pay.amount).toBe(100);
    await setting.written(1);
    await replays(service, { key }, first);
    expect(events.names).toContain('hit');
  });

  test('a resolver that throws leaves no entry', async () => {
    const key = newKey();
    const failed = await service.send({ key, variables: { note: 'throws' } });
    expect(failed.body.errors[0].message).toBe('no');
    await service.send({ key, variables: { note: 'throws' } });
    expect(redis.counts().commands).toEqual(['GET', 'GET']);
    expect(await setting.entries()).toEqual([]);
  });
});

describe('round trips', () => {
  test('a first call makes one to Redis before its resolver, and one that it does not wait for', async () => {
    await executes(service, { key: newKey() });
    await setting.written(1);
    expect(redis.counts()).toEqual({ connections: 0, roundTrips: 2, commands: ['GET', 'SET'] });
  });

  test('a replay from Redis makes one, sends nothing to Postgres and opens no connection there', async () => {
    const key = newKey();
    const first = await executes(service, { key });
    await setting.written(1);
    reset();
    for (let call = 1; call <= 3; call += 1) await replays(service, { key }, first);
    expect(redis.counts()).toEqual({ connections: 0, roundTrips: 3, commands: ['GET', 'GET', 'GET'] });
    expect(postgres.counts()).toMatchObject({ connections: 0, roundTrips: 0, statements: [] });
  });

  test('nor does it need those that are there', async () => {
    const key = newKey();
    const first = await executes(service, { key });
    await setting.written(1);
    postgres.cut();
    await postgres.refuse();
    reset();
    await replays(service, { key }, first);
    expect(postgres.counts().connections).toBe(0);
  });

  test('a key that was used for something else is refused from Redis alone', async () => {
    const key = newKey();
    await executes(service, { key });
    await setting.written(1);
    reset();
    const reply = await service.send({ key, variables: { amount: 1 } });
    expect([reply.status, reply.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    expect(postgres.counts().statements).toEqual([]);
  });
});

describe('500 retries of one key at once (56)', () => {
  test('with a cold Redis read Postgres once, and all get the first answer', async () => {
    const key = newKey();
    const first = await executes(service, { key });
    await setting.written(1);
    await setting.peek.flushall();
    reset();
    const runs = service.runs();
    const retries = Array.from({ length: 500 }, () => service.send({ key }));
    const replies = await within(Promise.all(retries), { timeoutMs: 20_000, what: '500 retries' });
    expect(new Set(replies.map(({ body }) => JSON.stringify(body.data)))).toEqual(
      new Set([JSON.stringify(first.body.data)]),
    );
    expect(service.runs()).toBe(runs);
    const claims = postgres.counts().statements.filter((sql) => /\.claim\(/.test(sql));
    expect(claims).toHaveLength(1);
    expect(redis.counts().commands.filter((command) => command === 'SET')).toHaveLength(1);
    expect(await setting.entries()).toHaveLength(1);
  });

  test('with a Redis that is gone take no connection from an unrelated key', async () => {
    const small = await setting.start({
      redis: redis.url,
      options: { postgres: postgres.url, poolSize: 2, acquireTimeout: 5000 },
    });
    const key = newKey();
    const first = await executes(small, { key });
    await redis.refuse();
    redis.cut();
    const retries = Array.from({ length: 200 }, () => small.send({ key }));
    const unrelated = within(small.send({ key: newKey() }), { what: 'an unrelated key' });
    expect((await unrelated).status).toBe(200);
    for (const { body } of await Promise.all(retries)) expect(body.data).toEqual(first.body.data);
    expect(small.runs()).toBe(2);
    await redis.healAll();
    await eventually(async () => (await replays(small, { key }, first)).status === 200);
  });
});
