/** One client with a connection of its own, used by several calls at the same time. */

import type { PoolClient } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';
import { deferred } from '../support/signal.ts';

let service: Service;
let client: PoolClient;
let act: (call: PayCall) => unknown;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  client = await service.idempotency.pool.connect();
});
afterAll(async () => {
  client.release();
  await service.stop();
});

const insert = (amount: number): Promise<unknown> =>
  client.query('insert into payments (amount) values ($1)', [amount]);
const pay = (amount: number): ReturnType<Service['send']> =>
  service.send({
    key: `shared-${amount}`,
    query: 'mutation ($amount: Int!) { pay(amount: $amount) { amount } }',
    variables: { amount },
  });

test('what a call writes through it never lands in the transaction that another call has begun on it', async () => {
  const begun = deferred();
  const written = deferred();
  act = async ({ args: { amount } }) => {
    if (amount === 1) {
      await client.query('begin');
      await insert(1);
      begun.resolve();
      await written.promise;
      await client.query('rollback');
      throw new Error('no');
    }
    await begun.promise;
    await insert(amount).finally(written.resolve);
    return { id: '2', amount };
  };
  const [, second] = await Promise.all([pay(1), pay(2)]);
  expect(second.body.errors?.[0]?.message).toMatch(/another guarded call/);
  expect(await service.payments()).toEqual([]);
});

test('it stays in its transaction where the library has lost the context of the call', async () => {
  act = async () => {
    await client.query('begin');
    await service.idempotency.outside(() => insert(3));
    await client.query('commit');
    throw new Error('no');
  };
  await pay(3);
  expect(await service.payments()).toEqual([]);
});

test('after a BEGIN that came when its call was over, it is as good as new', async () => {
  const over = deferred();
  let late: Promise<unknown> = Promise.resolve();
  act = async ({ insert: write }) => {
    late = over.promise.then(() => client.query('begin'));
    late.catch(() => {});
    return write();
  };
  await pay(4);
  over.resolve();
  await expect(late).rejects.toThrow(/transaction is over/);
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
});

test('after a BEGIN that failed with its call, it is as good as new', async () => {
  act = async () => {
    await client.query('select 1 / 0').catch(() => {});
    await client.query('begin');
  };
  await pay(5);
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
});

test('a transaction that was left open on it in one call stops no other', async () => {
  act = async ({ args: { amount }, insert: write }) => {
    if (amount === 6) await client.query('begin');
    else await insert(amount);
    return write();
  };
  await pay(6);
  expect((await pay(7)).code).toBeUndefined();
});
