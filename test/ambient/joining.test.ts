/** What a joined pool does inside a guarded call, and outside of one. */

import { Client, Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';
import { deferred } from '../support/signal.ts';

let service: Service;
let pool: Pool;
let act: (call: PayCall) => unknown;
let key: string;
let keys = 0;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  ({ pool } = service.idempotency);
});
afterAll(() => service.stop());
beforeEach(async () => {
  key = `join-${(keys += 1)}`;
  await pool.query('truncate payments');
});

const amounts = async (): Promise<number[]> => (await service.payments()).map(({ amount }) => amount);
const insert = (amount: number): Promise<unknown> =>
  pool.query('insert into payments (amount) values ($1)', [amount]);
const xid = async (): Promise<string> =>
  (await pool.query<{ xid: string }>('select pg_current_xact_id()::text as xid')).rows[0]!.xid;

test('it is a true pg.Pool, and lends true clients', async () => {
  expect(pool).toBeInstanceOf(Pool);
  act = async () => {
    const client = await pool.connect();
    expect(client).toBeInstanceOf(Client);
    client.release();
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key })).body.errors).toBeUndefined();
});

test('what is written through it, however deep, is gone with the attempt', async () => {
  act = async () => {
    await insert(1);
    await new Promise((resolve) => setImmediate(resolve));
    await (async () => insert(2))();
    expect(await amounts()).toEqual([]);
    throw new Error('no');
  };
  await service.send({ key });
  expect(await amounts()).toEqual([]);
});

test('its statements and those of tx are one transaction, in the order in which they were sent', async () => {
  act = async ({ tx }) => {
    const sent = [insert(1), tx.query('update payments set amount = amount + 10'), insert(2)];
    await Promise.all(sent);
    const { rows } = await tx.query<{ xid: string }>('select pg_current_xact_id()::text as xid');
    expect(await xid()).toBe(rows[0]!.xid);
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key })).body.errors).toBeUndefined();
  expect(await amounts()).toEqual([11, 2]);
});

test('outside a guarded call it is a pool like any other', async () => {
  await insert(5);
  expect(await amounts()).toEqual([5]);
  const client = await pool.connect();
  await client.query('begin');
  await client.query('insert into payments (amount) values (6)');
  expect(await amounts()).toEqual([5]);
  await client.query('rollback');
  client.release();
  expect(await amounts()).toEqual([5]);
});

test('BEGIN, COMMIT and ROLLBACK are savepoints: what is rolled back is gone, the rest stays', async () => {
  act = async () => {
    await insert(1);
    const client = await pool.connect();
    expect((await client.query('BEGIN')).command).toBe('BEGIN');
    await client.query('insert into payments (amount) values (2)');
    expect((await client.query('ROLLBACK')).command).toBe('ROLLBACK');
    await client.query('START TRANSACTION ISOLATION LEVEL READ COMMITTED');
    await client.query('insert into payments (amount) values (3)');
    expect((await client.query('COMMIT')).command).toBe('COMMIT');
    client.release();
    expect(await amounts()).toEqual([]);
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key })).body.errors).toBeUndefined();
  expect(await amounts()).toEqual([1, 3]);
});

test('a query that comes when its attempt has ended is refused, and touches nobody', async () => {
  const late = deferred();
  let outcome: Promise<unknown> = Promise.resolve();
  act = async () => {
    outcome = late.promise.then(() => insert(66));
    outcome.catch(() => {});
    await insert(1);
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key })).body.errors).toBeUndefined();
  late.resolve();
  await expect(outcome).rejects.toThrow(/transaction is over/);
  expect(await amounts()).toEqual([1]);
});
