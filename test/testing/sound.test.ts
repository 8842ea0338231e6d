/** verifyIdempotency is content with resolvers that keep the guarantee, in every way in which they may. */

import { AsyncResource } from 'node:async_hooks';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { deferred } from '../support/signal.ts';
import { CHARGE, openShop, PAY_OUT } from './shop.ts';
import type { Queryable, Resolver, Shop } from './shop.ts';

let shop: Shop;
let pool: Shop['idempotency']['pool'];
beforeAll(async () => {
  shop = await openShop();
  pool = shop.idempotency.pool;
});
const through: Resolver = ({ attempt, insert }) => insert(attempt.tx as Queryable);
beforeEach(() => {
  shop.charge = through;
  shop.note = () => null;
});
afterAll(() => shop.stop());

const passed = [
  { name: 'retry after success', outcome: 'passed' },
  { name: 'two at once', outcome: 'passed' },
  { name: 'transaction killed at commit', outcome: 'passed' },
  { name: 'thrown error', outcome: 'passed' },
];

test('one that writes through tx, and the report says what was done', async () => {
  const before = await shop.effects();
  expect(await shop.verify()).toEqual({
    field: 'Mutation.charge',
    mode: 'TRANSACTION',
    effects: { payments: 1, emails: 0 },
    afterAnswer: [],
    scenarios: passed,
  });
  // One for each key: without a fault, and in each of the four scenarios.
  expect((await shop.effects()).payments - before.payments).toBe(5);
});

test('one that writes through the joined pool, in a transaction of its own', async () => {
  shop.charge = async ({ insert }) => {
    const client = await pool.connect();
    await client.query('begin');
    const id = await insert(client);
    await client.query('commit');
    client.release();
    return id;
  };
  expect(await shop.verify()).toMatchObject({ effects: { payments: 1 }, scenarios: passed });
});

test('one that undoes a part of its work in a savepoint', async () => {
  shop.charge = async ({ attempt, insert }) => {
    const id = await insert(attempt.tx as Queryable);
    await attempt.tx.query('savepoint part');
    await attempt.tx.query('insert into payments (id) values ($1)', [id]).catch(() => {});
    await attempt.tx.query('rollback to savepoint part');
    return id;
  };
  expect(await shop.verify()).toMatchObject({ scenarios: passed });
});

test('one whose query nobody awaits, but that comes in time', async () => {
  shop.charge = ({ attempt, insert }) => {
    void insert(attempt.tx as Queryable);
    return 1;
  };
  expect(await shop.verify()).toMatchObject({ effects: { payments: 1 }, scenarios: passed });
});

test('an outbox: what a worker does later is no fault of the mutation, and is named', async () => {
  await shop.elsewhere.query('create table mails (id serial primary key, sent boolean default false)');
  shop.charge = async ({ attempt, insert }) => {
    await attempt.tx.query('insert into mails default values');
    return insert(attempt.tx as Queryable);
  };
  let turn = 0;
  const effects = async () => {
    const { payments } = await shop.effects();
    const sent = await shop.elsewhere.query('select 1 from mails where sent');
    // The worker's turn is between the answer and the end of the wait.
    if ((turn += 1) % 3 === 2) await shop.elsewhere.query('update mails set sent = true');
    return { payments, sent: sent.rowCount ?? 0 };
  };
  expect(await shop.verify({ effects })).toMatchObject({
    effects: { payments: 1, sent: 1 },
    afterAnswer: ['sent'],
    scenarios: passed,
  });
});

test('in mode: LEASE, and the report says which faults are not for it', async () => {
  shop.charge = async ({ attempt, insert }) => {
    await attempt.step('mail', () => void shop.outbox.push('receipt'));
    return attempt.step.transaction('book', (tx) => insert(tx as Queryable));
  };
  expect(await shop.verify({ operation: PAY_OUT })).toEqual({
    field: 'Mutation.payOut',
    mode: 'LEASE',
    effects: { payments: 1, emails: 1 },
    afterAnswer: [],
    scenarios: [
      ...passed.slice(0, 2),
      ...passed.slice(2).map(({ name }) => ({
        name,
        outcome: 'skipped',
        reason: expect.stringContaining('mode: LEASE'),
      })),
    ],
  });
});

test('with inFlight: WAIT, where the second of two gets the answer of the first', async () => {
  expect(await shop.verify({ operation: 'mutation { patient(amount: 5) { id } }' })).toMatchObject({
    field: 'Mutation.patient',
    scenarios: passed,
  });
});

test.each([
  ['keyArgument', 'mutation ($key: String!) { named(amount: 5, name: $key) { id } }', 'Mutation.named'],
  [
    'a keyArgument that is not required',
    'mutation ($key: String!) { loose(amount: 5, name: $key) { id } }',
    'Mutation.loose',
  ],
  [
    '@idempotent(key:)',
    'mutation ($key: String!) { charge(amount: 5) @idempotent(key: $key) { id } }',
    'Mutation.charge',
  ],
])('with the key in %s', async (_where, operation, field) => {
  const report = await shop.verify({ operation, variables: (key) => ({ key }) });
  expect(report).toMatchObject({ field, scenarios: passed });
});

test('with arguments that can be used only once, made of the key', async () => {
  shop.charge = async ({ attempt }) => {
    const { rows } = await attempt.tx.query('insert into payments (once) values ($1) returning id', [
      attempt.key,
    ]);
    return rows[0]!['id'];
  };
  expect(await shop.verify()).toMatchObject({ scenarios: passed });
});

test('with an effect that takes away', async () => {
  await shop.elsewhere.query('create table stock as select 1000 as n');
  shop.charge = async ({ attempt }) => {
    await attempt.tx.query('update stock set n = n - 3');
    return 1;
  };
  const effects = async () => ({
    stock: (await shop.elsewhere.query<{ n: number }>('select n from stock')).rows[0]!.n,
  });
  expect(await shop.verify({ effects })).toMatchObject({ effects: { stock: -3 }, scenarios: passed });
  shop.charge = async () => {
    await shop.elsewhere.query('update stock set n = n - 3');
    return 1;
  };
  expect((await shop.caught({ effects })).message).toMatch(/`stock` .* it is doubled \(-6 instead of -3\)/);
});

test('with a guarded call of its own inside', async () => {
  let calls = 0;
  shop.charge = async ({ attempt, insert }) => {
    await shop.idempotency.guard({ name: 'inner', scope: 's', key: `inner-${attempt.key}` }, () => {
      calls += 1;
      return null;
    });
    return insert(attempt.tx as Queryable);
  };
  const effects = async () => ({ ...(await shop.effects()), calls });
  expect(await shop.verify({ effects, keyed: ['calls'] })).toMatchObject({ scenarios: passed });
});

test('with a guarded call that nobody awaits, and that comes behind the answer', async () => {
  let left = (): Promise<unknown> => Promise.resolve();
  shop.charge = async ({ attempt, insert }) => {
    left = AsyncResource.bind(() =>
      shop.idempotency.guard({ name: 'later', scope: 's', key: `later-${attempt.key}` }, () => null),
    );
    return insert(attempt.tx as Queryable);
  };
  const effects = async () => {
    await left();
    return shop.effects();
  };
  expect(await shop.verify({ effects })).toMatchObject({ field: 'Mutation.charge', scenarios: passed });
});

test('a retry that is told to come again comes again', async () => {
  const beside = await openShop({}, { databaseUrl: shop.url });
  const [entered, goOn] = [deferred(), deferred()];
  beside.charge = async ({ attempt, insert }) => {
    entered.resolve();
    await goOn.promise;
    return insert(attempt.tx as Queryable);
  };
  let calls = 0;
  let other: Promise<unknown> | undefined;
  // One without a fault, one that succeeds, two at once, each with its retry; then the one whose session is
  // ended: before the retry of that one, another process has taken the key, and gives it back for the next try.
  const contextValue = async (idempotencyKey: string) => {
    const mine = { user: 'alice' };
    calls += 1;
    if (calls === 8) {
      const request = { query: CHARGE, extensions: { idempotencyKey } };
      other = beside.server.executeOperation(request, { contextValue: mine });
      await entered.promise;
    }
    if (calls === 9) {
      goOn.resolve();
      await other;
    }
    return mine;
  };
  expect(await shop.verify({ contextValue })).toMatchObject({ scenarios: passed });
  expect(calls).toBe(11);
  await beside.stop();
});

test('where the error that is thrown is remembered as the answer', async () => {
  const remembering = await openShop({ storeError: () => true });
  remembering.charge = through;
  expect(await remembering.verify()).toMatchObject({ scenarios: passed });
  remembering.charge = async ({ attempt, insert }) => {
    remembering.outbox.push('receipt');
    return insert(attempt.tx as Queryable);
  };
  // Not even where a key protects it: no retry will ever execute.
  const { message } = await remembering.caught({ keyed: ['emails'] });
  expect(message).toMatch(
    /`emails` happened although the mutation had failed \(thrown error\); the retry did not/,
  );
  await remembering.stop();
});

test('without the plugin, where the key comes with the context', async () => {
  const bare = await openShop({ requestKeys: ({ key }) => ({ header: key }) }, { plugin: false });
  bare.charge = through;
  expect(await bare.verify({ contextValue: (key) => ({ user: 'alice', key }) })).toMatchObject({
    scenarios: passed,
  });
  await bare.stop();
});

test('where the server hides the codes of its errors', async () => {
  const masked = await openShop({}, { formatError: () => ({ message: 'Something went wrong.' }) });
  expect(await masked.verify()).toMatchObject({ scenarios: passed });
  await masked.stop();
});
