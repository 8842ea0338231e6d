/** A verification meets nobody but itself, and leaves nothing behind. */

import { AsyncResource } from 'node:async_hooks';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { deferred } from '../support/signal.ts';
import { CHARGE, openShop } from './shop.ts';
import type { Queryable, Shop } from './shop.ts';

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
});
beforeEach(() => {
  shop.charge = ({ attempt, insert }) => insert(attempt.tx as Queryable);
});
afterAll(() => shop.stop());

let keys = 0;
/** A call of somebody else. Returns what became of it. */
async function call(on: Shop, operation = CHARGE.replace('5', '7')): Promise<string | undefined> {
  const { body } = await on.server.executeOperation(
    { query: operation, extensions: { idempotencyKey: `other-${(keys += 1)}` } },
    { contextValue: { user: 'bob' } },
  );
  if (body.kind !== 'single') throw new Error('incremental delivery');
  const { errors, extensions } = body.singleResult;
  const told = extensions as { idempotency?: { charge?: { outcome: string } } } | undefined;
  return errors?.[0]?.message ?? told?.idempotency?.charge?.outcome;
}

/** Counts the payments of the verification, and not those of others. */
async function own(): Promise<{ payments: number }> {
  const { rows } = await shop.elsewhere.query<{ n: number }>(
    'select count(*)::int as n from payments where amount = 5',
  );
  return { payments: rows[0]!.n };
}

test('calls from elsewhere, at the same time, meet none of its faults', async () => {
  let over = false;
  const others = (async () => {
    const outcomes: (string | undefined)[] = [];
    while (!over) outcomes.push(await call(shop));
    return outcomes;
  })();
  await shop.verify({ effects: own }).finally(() => {
    over = true;
  });
  const outcomes = await others;
  expect(outcomes.length).toBeGreaterThan(10);
  expect(new Set(outcomes)).toEqual(new Set(['executed']));
});

test('nor do calls that a resolver has left behind, and that come when it is over', async () => {
  const left: (() => Promise<unknown>)[] = [];
  shop.charge = ({ attempt, insert }) => {
    left.push(AsyncResource.bind(() => call(shop)));
    return insert(attempt.tx as Queryable);
  };
  await shop.verify({ effects: own });
  // Without a fault once, then for each scenario, and the retries of those that failed.
  expect(left).toHaveLength(7);
  shop.charge = ({ attempt, insert }) => insert(attempt.tx as Queryable);
  for (const goOn of left) expect(await goOn()).toBe('executed');
});

test('a late statement of somebody else is not laid at its door', async () => {
  const [reached, goOn] = [deferred(), deferred()];
  const late = deferred<unknown>();
  const verified = shop.charge;
  shop.charge = ({ attempt }) => {
    void goOn.promise.then(() => attempt.tx.query('select 1')).then(late.resolve, late.resolve);
    reached.resolve();
    return 1;
  };
  expect(await call(shop)).toBe('executed');
  await reached.promise;
  shop.charge = verified;
  let counted = 0;
  await shop.verify({
    effects: () => {
      // Not before it has begun.
      if ((counted += 1) === 2) goOn.resolve();
      return own();
    },
  });
  expect(await late.promise).toBeInstanceOf(Error);
});

test('two verifications at once do not disturb each other', async () => {
  const other = await openShop();
  other.charge = ({ insert }) => insert(other.elsewhere);
  const [report, error] = await Promise.all([shop.verify(), other.caught()]);
  expect(report.field).toBe('Mutation.charge');
  expect(error.findings.map(({ kind }) => kind)).toEqual(['doubled']);
  await other.stop();
});

test('it starts a server that is not started, and leaves it to be used and stopped', async () => {
  const fresh = await openShop();
  fresh.charge = ({ attempt, insert }) => insert(attempt.tx as Queryable);
  await fresh.verify();
  expect(await call(fresh)).toBe('executed');
  await fresh.server.stop();
  await expect(fresh.verify()).rejects.toThrow(
    'Cannot execute GraphQL operations after the server has stopped',
  );
  await fresh.stop();
});
