/** What a call costs, counted on the wire: round trips, statements and commits, not one more than promised. */

import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { redisUrl } from '../support/database.ts';
import { eventually, within } from '../support/signal.ts';
import { startProxied } from './proxied-service.ts';

describe.each([true, false])('a first execution with one statement in the resolver (Redis: %s)', (redis) => {
  test('takes three Postgres round trips, one commit, and one look into Redis', async () => {
    const { service, postgres, redis: cache } = await startProxied({ redis });
    const reply = await service.send({ key: 'a' });
    const counts = postgres.counts();
    expect(reply.body.extensions.idempotency.pay.outcome).toBe('executed');
    expect(counts).toMatchObject({ connections: 0, roundTrips: 3, commits: 1, rollbacks: 0, autocommits: 0 });
    expect(counts.statements.filter((sql) => sql.includes('insert into payments'))).toHaveLength(1);
    if (!redis) {
      expect(cache.counts().connections).toBe(0);
      return;
    }
    await eventually(() => cache.counts().commands.length === 2);
    expect(cache.counts().commands).toEqual(['GET', 'SET']);
    // Nothing more follows, on either wire.
    expect(postgres.counts()).toEqual(counts);
  });
});

test('a resolver that writes nothing costs two round trips and the same one commit', async () => {
  const { service, postgres } = await startProxied({ pay: () => ({ id: '1', amount: 1 }) });
  expect((await service.send({ key: 'a' })).status).toBe(200);
  expect(postgres.counts()).toMatchObject({ roundTrips: 2, commits: 1, rollbacks: 0, autocommits: 0 });
});

test('each statement of the resolver costs one round trip of its own, and none of the guard’s', async () => {
  const { service, postgres } = await startProxied({
    pay: async ({ tx, insert }) => {
      for (let at = 0; at < 4; at += 1) await tx.query('select $1::int', [at]);
      return insert();
    },
  });
  expect((await service.send({ key: 'a' })).status).toBe(200);
  expect(postgres.counts()).toMatchObject({ roundTrips: 2 + 5, commits: 1 });
});

test('the client does not wait for the write to Redis', async () => {
  const { service, redis } = await startProxied({
    pay: ({ args, insert }) => {
      // The look-up was answered; from here on Redis gets nothing and answers nothing.
      if (args.note === 'hold') redis.blackhole();
      return insert();
    },
  });
  const reply = await within(service.send({ key: 'a', variables: { note: 'hold' } }), {
    what: 'the answer',
    timeoutMs: 10_000,
  });
  expect(reply.body.extensions.idempotency.pay.outcome).toBe('executed');
  await eventually(() => redis.counts().commands.includes('SET'));
  expect(redis.counts().commands).toEqual(['GET', 'SET']);
});

test('before the resolver there is one round trip to Redis, and one to Postgres', async () => {
  let atResolver: unknown;
  const { service, postgres, redis } = await startProxied({
    pay: ({ insert }) => {
      atResolver = { postgres: postgres.counts().roundTrips, redis: redis.counts().roundTrips };
      return insert();
    },
  });
  await service.send({ key: 'a' });
  expect(atResolver).toEqual({ postgres: 1, redis: 1 });
});

describe('a replay', () => {
  test('from Redis costs one look into Redis, and nothing of Postgres', async () => {
    const { service, postgres, redis, reset } = await startProxied();
    await service.send({ key: 'a' });
    await reset();
    const reply = await service.send({ key: 'a' });
    expect(reply.headers.get('idempotent-replayed')).toBe('true');
    expect(redis.counts()).toMatchObject({ connections: 0, roundTrips: 1, commands: ['GET'] });
    expect(postgres.counts()).toMatchObject({ connections: 0, roundTrips: 0, statements: [], commits: 0 });
  });

  test('from Redis opens no connection to Postgres, also where none is open', async () => {
    const { service, postgres, reset } = await startProxied();
    await service.send({ key: 'a' });
    await reset();
    await postgres.refuse();
    postgres.cut();
    for (let at = 0; at < 3; at += 1) {
      expect((await service.send({ key: 'a' })).headers.get('idempotent-replayed')).toBe('true');
    }
    expect((await service.send({ key: 'a', variables: { amount: 1 } })).code).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(postgres.counts().connections).toBe(0);
    // The other way round it would be noticed.
    expect((await service.send({ key: 'b' })).code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  });

  test('from Postgres is answered after one round trip; its end is nothing that the client waits for', async () => {
    const { service, postgres, reset } = await startProxied({ redis: false });
    await service.send({ key: 'a' });
    await reset();
    const end = postgres.on({ from: 'client', sql: /^rollback/ }, 'hold');
    const reply = await within(service.send({ key: 'a' }), { what: 'the answer', timeoutMs: 10_000 });
    expect(reply.headers.get('idempotent-replayed')).toBe('true');
    await end.matched;
    end.release();
    await eventually(() => postgres.counts().rollbacks === 1);
    expect(postgres.counts()).toMatchObject({ connections: 0, roundTrips: 2, commits: 0, autocommits: 0 });
  });

  test('from Postgres refills Redis, so that the next one comes from there', async () => {
    const { service, redis, postgres, prefix, reset } = await startProxied();
    await service.send({ key: 'a' });
    await reset();
    const evictor = new Redis(redisUrl());
    onTestFinished(() => evictor.disconnect());
    expect(await evictor.del(...(await evictor.keys(`${prefix}*`)))).toBe(2);

    expect((await service.send({ key: 'a' })).headers.get('idempotent-replayed')).toBe('true');
    await eventually(async () => (await evictor.keys(`${prefix}*`)).length === 1);
    await eventually(() => postgres.counts().rollbacks === 1);
    postgres.reset();
    expect((await service.send({ key: 'a' })).headers.get('idempotent-replayed')).toBe('true');
    expect(redis.counts().commands).toEqual(['GET', 'SET', 'GET']);
    expect(postgres.counts()).toMatchObject({ connections: 0, roundTrips: 0 });
  });
});

test('a mutation without the directive costs nothing, in the same server', async () => {
  const { service, postgres, redis } = await startProxied({
    typeDefs: 'extend type Mutation { plain: Int }',
    resolvers: () => ({ Mutation: { plain: () => 1 } }),
  });
  for (const query of ['mutation { plain }', '{ ping }']) {
    expect((await service.send({ query })).status).toBe(200);
    expect((await service.send({ query, key: 'unused' })).body.errors).toBeUndefined();
  }
  expect(postgres.counts()).toMatchObject({ connections: 0, roundTrips: 0 });
  expect(redis.counts()).toMatchObject({ connections: 0, commands: [] });
});

test('a refused call costs nothing where the request alone decides', async () => {
  const { service, postgres, redis } = await startProxied();
  const query = 'mutation { a: pay(amount: 1) { id } b: pay(amount: 2) { id } }';
  const codes = [
    await service.send(),
    await service.send({ key: 'ä' }),
    await service.send({ key: 'a', query }),
  ].map(({ code }) => code);
  expect(codes).toEqual(['IDEMPOTENCY_KEY_MISSING', 'IDEMPOTENCY_KEY_INVALID', 'IDEMPOTENCY_KEY_AMBIGUOUS']);
  expect(postgres.counts().roundTrips).toBe(0);
  expect(redis.counts().commands).toEqual([]);
});

test('a resolver that throws costs its claim and one message to end it', async () => {
  const { service, postgres } = await startProxied({
    pay: () => {
      throw new Error('no');
    },
  });
  expect((await service.send({ key: 'a' })).body.errors).toHaveLength(1);
  expect(postgres.counts()).toMatchObject({ roundTrips: 2, commits: 0, rollbacks: 1, autocommits: 0 });
});
