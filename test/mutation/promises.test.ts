/** One test for each promise that is broken on purpose by `scripts/mutation.mjs`: it is what turns red. */

import { Redis } from 'ioredis';
import pg from 'pg';
import { GraphQLDateTime } from 'graphql-scalars';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { createDatabase, redisPrefix, redisUrl } from '../support/database.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service, ServiceOptions } from '../support/service.ts';
import { deferred, eventually } from '../support/signal.ts';

let url: string;
let owner: pg.Client;
beforeEach(async () => {
  ({ url } = await createDatabase({ migrated: true }));
  owner = new pg.Client({ connectionString: url });
  await owner.connect();
});
afterEach(() => owner.end());

async function start(options: Omit<ServiceOptions, 'databaseUrl'> = {}): Promise<Service> {
  const service = await startService({
    databaseUrl: url,
    ...options,
    options: { migrate: false, ...options.options },
  });
  onTestFinished(() => service.stop());
  return service;
}

const outcome = (reply: { readonly body: any }): string =>
  String(reply.body.extensions?.idempotency?.pay?.outcome);

test('a resolver that swallowed an SQL error is not a success', async () => {
  let swallow = true;
  const service = await start({
    pay: async ({ tx, insert }) => {
      const payment = await insert();
      if (swallow) await tx.query('select 1 / 0').catch(() => undefined);
      return payment;
    },
  });
  const reply = await service.send({ key: 'a' });
  expect([reply.status, reply.code]).toEqual([500, 'IDEMPOTENCY_TRANSACTION_BROKEN']);
  expect(await service.payments()).toEqual([]);
  swallow = false;
  expect(outcome(await service.send({ key: 'a' }))).toBe('executed');
});

test('what fails at COMMIT is in neither tier, and a retry executes', async () => {
  const service = await start({
    redis: redisUrl(),
    options: { redisPrefix: redisPrefix() },
    pay: async ({ tx, args, insert }) => {
      if (args.amount === 100 && service.runs() === 1) await tx.query('insert into child values (1)');
      return insert();
    },
  });
  await owner.query(`create table parent (id integer primary key);
    create table child (id integer references parent deferrable initially deferred)`);
  expect((await service.send({ key: 'a' })).body.data).toBeUndefined();
  expect(outcome(await service.send({ key: 'a' }))).toBe('executed');
  expect(service.runs()).toBe(2);
  expect(await service.payments()).toHaveLength(1);
});

test('where the lock does not keep two attempts apart, the primary key does', async () => {
  const { rows } = await owner.query(
    `select pg_get_functiondef('graphql_idempotency.claim'::regproc) as text`,
  );
  const unlocked = rows[0].text.replace(/pg_try_advisory_xact_lock\([^)]*\)/, 'true');
  expect(unlocked).not.toBe(rows[0].text);
  await owner.query(unlocked);
  const both = deferred();
  let entered = 0;
  const pay = async ({ insert }: PayCall): Promise<unknown> => {
    const payment = await insert();
    entered += 1;
    if (entered === 2) both.resolve();
    await both.promise;
    return payment;
  };
  // Two servers: within one, the first flight would stop the second.
  const servers = [await start({ pay }), await start({ pay })];
  const replies = await Promise.all(servers.map((server) => server.send({ key: 'a' })));
  expect(replies.map(outcome).toSorted()).toEqual(['executed', 'replayed']);
  expect(replies[0]!.body.data).toEqual(replies[1]!.body.data);
  expect(await servers[0]!.payments()).toHaveLength(1);
  expect(await servers[0]!.records()).toBe(1);
});

test('another user’s key is another key', async () => {
  const service = await start();
  expect(outcome(await service.send({ key: 'a', user: 'alice' }))).toBe('executed');
  expect(outcome(await service.send({ key: 'a', user: 'bob' }))).toBe('executed');
  expect(await service.payments()).toHaveLength(2);
});

test('what Redis has lost, Postgres still knows', async () => {
  const prefix = redisPrefix();
  const service = await start({ redis: redisUrl(), options: { redisPrefix: prefix } });
  const redis = new Redis(redisUrl());
  onTestFinished(() => redis.disconnect());
  const first = await service.send({ key: 'a' });
  const keys = await eventually(async () => {
    const found = await redis.keys(`${prefix}*`);
    return found.length === 1 && found;
  });
  await redis.del(...keys);
  const again = await service.send({ key: 'a' });
  expect(outcome(again)).toBe('replayed');
  expect(again.body.data).toEqual(first.body.data);
  expect(service.runs()).toBe(1);
});

test('an attempt whose transaction was ended in spite of everything is not a success', async () => {
  const service = await start({
    pay: async ({ tx, insert }) => {
      const payment = await insert();
      // A backslash is read differently from here on, and what looks like one string is three statements.
      await tx.query('set local standard_conforming_strings = off');
      await tx.query(`select '\\''; commit; --'`);
      return payment;
    },
  });
  const reply = await service.send({ key: 'a' });
  expect(await service.payments()).toHaveLength(1);
  expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect((await service.send({ key: 'a' })).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(service.runs()).toBe(1);
});

test('a connection that timed out is never handed to the next caller', async () => {
  const proxy = await startPostgresProxy({ target: url });
  onTestFinished(() => proxy.close());
  const service = await start({ options: { postgres: proxy.url, poolSize: 1, claimTimeout: 1000 } });
  const stalled = proxy.on({ from: 'client', sql: /\.claim\(/ }, 'hold');
  expect((await service.send({ key: 'a' })).code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  await stalled.matched;
  expect(outcome(await service.send({ key: 'b' }))).toBe('executed');
});

test('the transaction is over for its resolver when the resolver settles', async () => {
  let kept: PayCall['tx'] | undefined;
  const service = await start({
    options: { poolSize: 1 },
    pay: ({ tx, insert }) => {
      kept = tx;
      return insert();
    },
  });
  expect(outcome(await service.send({ key: 'a' }))).toBe('executed');
  await expect(kept!.query('insert into payments (amount) values (666)')).rejects.toThrow(
    /transaction is over/,
  );
  expect(await service.payments()).toEqual([{ amount: 100, note: null }]);
});

test('what a resolver left in the queue runs inside its transaction, or not at all', async () => {
  const service = await start({
    options: { poolSize: 1 },
    pay: ({ tx, args, insert }) =>
      args.note === null
        ? insert()
        : Promise.all([
            tx.query('select 1 / 0'),
            ...Array.from({ length: 5 }, () => tx.query('select 1')),
            tx.query('insert into payments (amount) values (666)'),
          ]),
  });
  expect((await service.send({ key: 'a', variables: { note: 'fails' } })).body.data.pay).toBeNull();
  expect(outcome(await service.send({ key: 'b', variables: { note: null } }))).toBe('executed');
  expect(await service.payments()).toEqual([{ amount: 100, note: null }]);
});

test('the value of a custom scalar makes another intent', async () => {
  const { parseValue, parseLiteral, serialize } = GraphQLDateTime;
  const service = await start({
    typeDefs: 'scalar DateTime extend type Mutation { book(at: DateTime!): Int @idempotent }',
    resolvers: () => ({ DateTime: { parseValue, parseLiteral, serialize }, Mutation: { book: () => 1 } }),
  });
  const book = (at: string) =>
    service.send({ key: 'a', query: 'mutation ($at: DateTime!) { book(at: $at) }', variables: { at } });
  expect((await book('2026-01-01T00:00:00Z')).body.data).toEqual({ book: 1 });
  expect((await book('2026-01-01T00:00:00.000+00:00')).headers.get('idempotent-replayed')).toBe('true');
  expect((await book('2026-01-01T00:00:00.001Z')).code).toBe('IDEMPOTENCY_KEY_REUSED');
});

test('duplicates that arrive together make one look-up', async () => {
  const proxy = await startPostgresProxy({ target: url });
  onTestFinished(() => proxy.close());
  let arrived = 0;
  const scope = ({ user }: { user: string | undefined }): unknown => {
    arrived += 1;
    return user;
  };
  const service = await start({ options: { postgres: proxy.url, poolSize: 2, poolQueueSize: 0, scope } });
  await service.send({ key: 'warm-up' });
  proxy.reset();
  arrived = 0;
  const claim = proxy.on({ from: 'client', sql: /\.claim\(/ }, 'hold');
  const replies = Array.from({ length: 20 }, () => service.send({ key: 'a' }));
  await eventually(() => arrived === 20);
  // The other connection is free for another key meanwhile.
  expect(outcome(await service.send({ key: 'b' }))).toBe('executed');
  claim.release();
  const codes = (await Promise.all(replies)).map(({ code }) => code ?? 'executed');
  expect(codes.toSorted()).toEqual(
    [...Array.from({ length: 19 }, () => 'IDEMPOTENCY_IN_PROGRESS'), 'executed'].toSorted(),
  );
  expect(proxy.counts().statements.filter((sql) => sql.includes('.claim('))).toHaveLength(2);
});
