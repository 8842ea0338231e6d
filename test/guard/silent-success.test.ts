/** A success that wrote nothing through its transaction is most likely a resolver that writes elsewhere. */

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';

let service: Service;
let elsewhere: pg.Pool;
let pool: pg.Pool;
let act: (call: PayCall) => unknown;
let told: number;
let keys = 0;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  elsewhere = new pg.Pool({ connectionString: url, max: 1 });
});
beforeEach(async () => {
  service = await startService({
    databaseUrl: elsewhere.options.connectionString!,
    typeDefs:
      'extend type Mutation { peek: Int @idempotent poll: Int @idempotent ring: Int @idempotent(mode: LEASE) }',
    resolvers: () => ({ Mutation: { peek: () => 1, poll: () => 1, ring: () => 1 } }),
    pay: (call) => act(call),
  });
  pool = service.idempotency.pool;
  told = 0;
  return () => service.stop();
});
afterAll(() => elsewhere.end());

const insert = (on: pg.Pool): Promise<unknown> => on.query('insert into payments (amount) values (1)');
const key = (): string => `silent-${(keys += 1)}`;
const payment = { id: '1', amount: 1 };

/** What was said since the last time. */
function news(): readonly string[] {
  const warnings = service.log.filter(({ level }) => level === 'warn').map(({ message }) => message);
  return warnings.slice(told, (told = warnings.length));
}

test('it is said once for each field, with what to do', async () => {
  act = async () => {
    await insert(elsewhere);
    return payment;
  };
  for (let n = 0; n < 3; n += 1) expect((await service.send({ key: key() })).status).toBe(200);
  expect(news()).toEqual([
    'Mutation.pay succeeded without writing anything through its transaction. What it writes to Postgres on another connection does not commit together with the record, and happens again with a retry: write through idempotency.pool or idempotency.driver, or through idempotency.current(info).tx. What it does outside Postgres needs mode: LEASE. This is said once for each field.',
  ]);
  for (const field of ['peek', 'poll', 'peek'])
    await service.send({ query: `mutation { ${field} }`, key: key() });
  expect(news()).toEqual([
    expect.stringMatching(/^Mutation\.peek succeeded without writing/),
    expect.stringMatching(/^Mutation\.poll succeeded without writing/),
  ]);
});

test.each([
  ['through tx', ({ insert: write }: PayCall) => write()],
  ['through the joined pool', () => insert(pool).then(() => payment)],
  ['through both, and elsewhere besides', ({ insert: write }: PayCall) => insert(elsewhere).then(write)],
])('not where something was written %s', async (_how, how) => {
  act = how;
  expect((await service.send({ key: key() })).body.errors).toBeUndefined();
  expect(news()).toEqual([]);
});

test('nor of a call that failed, of a replay, or in mode: LEASE', async () => {
  act = () => {
    throw new Error('no luck');
  };
  await service.send({ key: key() });
  await service.send({ query: 'mutation { ring }', key: key() });
  expect(news()).toEqual([]);
});
