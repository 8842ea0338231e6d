/** Where verifyIdempotency cannot verify, it says what it was given, and what it needs. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
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

test.each([
  [
    'mutation { unguarded(amount: 5) { amount } }',
    /^The operation called no guarded field\. Put @idempotent on/,
  ],
  ['{ ping }', /called no guarded field/],
  [
    'mutation { nonsense }',
    /^The operation called no guarded field\. It was answered: “Cannot query field "nonsense" .*” \(GRAPHQL_VALIDATION_FAILED\)\. Put @idempotent/,
  ],
  [
    'mutation { charge(amount: 1) @idempotent(key: "literal") { id } }',
    /^Mutation\.charge: nothing was executed\. It was answered: “.*” \(IDEMPOTENCY_KEY_CONFLICT\)\./,
  ],
])('the operation %s', async (operation, message) => {
  shop.charge = () => 1;
  const error = await shop.caught({ operation });
  expect(error.message).toMatch(message);
  expect(error.findings.map(({ kind }) => kind)).toEqual(['inconclusive']);
});

test('an operation with several guarded fields', async () => {
  const operation =
    'mutation ($a: String!, $b: String!) { a: charge(amount: 1) @idempotent(key: $a) { id } b: charge(amount: 1) @idempotent(key: $b) { id } }';
  const bare = await openShop({}, { plugin: false });
  const error = await bare.caught({ operation, variables: (key) => ({ a: `${key}-a`, b: `${key}-b` }) });
  expect(error.message).toBe('The operation calls more than one guarded field. Verify them one by one.');
  await bare.stop();
});

test.each(['charge', 'loose'])('a key that does not reach the guard of %s', async (field) => {
  const bare = await openShop({}, { plugin: false });
  const { message } = await bare.caught({ operation: CHARGE.replace('charge', field) });
  expect(message).toMatch(
    new RegExp(`^Mutation\\.${field} was called without a key\\. It is sent as .extensions\\.idempotencyKey`),
  );
  await bare.stop();
});

test('a mutation that fails by itself', async () => {
  shop.charge = () => {
    throw new Error('no luck');
  };
  expect((await shop.caught()).message).toMatch(
    /^Mutation\.charge: the mutation failed without any fault: “no luck” \(INTERNAL_SERVER_ERROR\)\. Call it with/,
  );
});

test('a mutation that does nothing', async () => {
  shop.charge = () => 1;
  expect((await shop.caught()).message).toMatch(
    /^Mutation\.charge: nothing grew when the mutation was called: `payments` and `emails` stayed as before\. .*later than 30 ms/,
  );
});

test('arguments that can be used only once', async () => {
  shop.charge = async ({ attempt }) => {
    await attempt.tx.query('insert into payments (once) values ($1)', ['a name']);
    return 1;
  };
  const { message } = await shop.caught();
  expect(message).toMatch(
    /the mutation had succeeded, and failed with another key \(retry after success\): “duplicate key .*variables: \(key\) => \(\{ … \}\)\./,
  );
  expect(message.split('\n')).toHaveLength(4);
});

test('effects that differ from call to call', async () => {
  let calls = 0;
  shop.charge = async ({ attempt, insert }) => {
    if ((calls += 1) > 1) await insert(attempt.tx as Queryable);
    return insert(attempt.tx as Queryable);
  };
  expect((await shop.caught()).message).toMatch(
    /its effects were others with another key \(retry after success\): `payments` 2, `emails` 0\. Let nobody else/,
  );
});

test('a context that is of another user each time', async () => {
  let users = 0;
  const contextValue = () => ({ user: `user ${(users += 1)}` });
  const { message, findings } = await shop.caught({ contextValue });
  expect(message).toMatch(
    /a retry was executed again instead of being replayed \(retry after success\)\. The scope/,
  );
  expect(findings.map(({ kind }) => kind)).toContain('answer');
});

test('a field below the mutation that is another with each answer', async () => {
  let answers = 0;
  shop.note = () => `answer ${(answers += 1)}`;
  const { message } = await shop.caught({ operation: CHARGE.replace('amount }', 'note }') });
  expect(message).toMatch(/a retry got another answer than the first call \(retry after success\)/);
});

test('a replay that is refused', async () => {
  const refusing = await openShop({
    authorizeReplay: () => {
      throw new Error('no longer yours');
    },
  });
  expect((await refusing.caught()).message).toMatch(
    /a retry did not get the first answer \(retry after success\), but “no longer yours”/,
  );
  await refusing.stop();
});

test('a keyFormat that takes no UUID needs newKey, which must give new ones', async () => {
  let keys = 0;
  const strict = await openShop({ keyFormat: /^order-\d+$/ });
  expect((await strict.caught()).message).toMatch(/nothing was executed\. It was answered: .*KEY_INVALID/);
  await strict.verify({ newKey: () => `order-${(keys += 1)}` });
  expect((await strict.caught({ newKey: () => 'order-1' })).message).toMatch(
    /the first call was answered from a record\. `newKey` must give a new key each time/,
  );
  await strict.stop();
});

test.each([
  [() => ({ payments: '3' }), /payments is of type string\. Postgres counts in bigint/],
  [() => ({ payments: undefined }), /payments is of type undefined/],
  [() => ({}), /effects\(\) must return counts by name/],
  [() => undefined, /effects\(\) must return counts by name/],
])('effects that are no counts: %s', async (effects, message) => {
  const verified = shop.verify({ effects: effects as unknown as () => Record<string, number> });
  await expect(verified).rejects.toThrow(message);
  await expect(verified).rejects.toBeInstanceOf(TypeError);
});

test('a keyed effect that is not counted', async () => {
  await expect(shop.verify({ keyed: ['payment'] })).rejects.toThrow(
    '`keyed` names payment, which effects() does not count.',
  );
});
