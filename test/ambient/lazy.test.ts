/** Queries that begin when they are awaited, as those of most query builders do: they belong where they were made. */

import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';

let service: Service;
let pool: Pool;
let act: (call: PayCall) => unknown;
let key: string;
let keys = 0;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  pool = service.idempotency.pool;
});
afterAll(() => service.stop());
beforeEach(async () => {
  key = `lazy-${(keys += 1)}`;
  await pool.query('truncate payments');
});

/** As a builder is: nothing is sent before somebody asks for the answer. */
function lazily<T>(work: () => Promise<T>): PromiseLike<T> {
  // oxlint-disable-next-line unicorn/no-thenable -- what builders are
  return { then: (done, failed) => work().then(done, failed) };
}

const xid = async (): Promise<string> =>
  (await pool.query<{ xid: string }>('select pg_current_xact_id()::text as xid')).rows[0]!.xid;
const xidOf = async (tx: PayCall['tx']): Promise<string> =>
  (await tx.query<{ xid: string }>('select pg_current_xact_id()::text as xid')).rows[0]!.xid;

test('a query that a resolver returns without having awaited it runs in the attempt', async () => {
  let own = Promise.resolve('');
  let lazy: string | undefined;
  act = ({ tx }) => {
    own = xidOf(tx);
    return lazily(async () => ({ id: '1', amount: 1, note: (lazy = await xid()) }));
  };
  expect((await service.send({ key })).body.errors).toBeUndefined();
  expect(lazy).toBe(await own);
});

test('what outside() returns has begun outside', async () => {
  let own: string | undefined;
  let lazy: string | undefined;
  act = async ({ tx, insert }) => {
    own = await xidOf(tx);
    lazy = await service.idempotency.outside(() => lazily(xid));
    return insert();
  };
  expect((await service.send({ key })).body.errors).toBeUndefined();
  expect(lazy).toMatch(/^\d+$/);
  expect(lazy).not.toBe(own);
});
