/** A verification is over when it says so: no timer and no listener is left. */

import { createHook } from 'node:async_hooks';
import { channel } from 'node:diagnostics_channel';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VerifyOptions } from 'graphql-idempotency/testing';
import { openShop } from './shop.ts';
import type { Context, Queryable, Shop } from './shop.ts';

/** Timers that the verification has set and that are still to go off. */
const timers = new Set<number>();
let set = 0;
const hook = createHook({
  init(id, type) {
    if (type !== 'Timeout' || !new Error('where').stack!.includes('/src/testing/')) return;
    set += 1;
    timers.add(id);
  },
  destroy: (id) => void timers.delete(id),
});
let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
  hook.enable();
});
afterAll(async () => {
  hook.disable();
  await shop.stop();
});

function failing(message: string): () => never {
  return () => {
    throw new Error(message);
  };
}

/** Fails at the n-th call. */
function failingAt(n: number, message: string): () => Context {
  let calls = 0;
  return () => ((calls += 1) === n ? failing(message)() : { user: 'alice' });
}

test.each<readonly [string, Partial<VerifyOptions<Context>>]>([
  ['well', {}],
  ['with effects that cannot be counted', { effects: failing('cannot count') }],
  ['without a context', { contextValue: failing('no context') }],
  // One without a fault, one that succeeds and its retry: then the two that are sent at once.
  ['without a context for the first of two', { contextValue: failingAt(4, 'no context') }],
  ['without a context for the second of two', { contextValue: failingAt(5, 'no context') }],
  ['with findings', { operation: 'mutation { patient(amount: 5) { id note } }' }],
])('when it ends %s', async (_how, options) => {
  let running = 0;
  shop.note = () => shop.outbox.push('note');
  shop.charge = async ({ attempt, insert }) => {
    running += 1;
    const id = await insert(attempt.tx as Queryable);
    running -= 1;
    return id;
  };
  const before = set;
  const ended = await shop.verify(options).then(
    () => 'well',
    (error: Error) => error.message,
  );
  expect(ended).toMatch(/^well$|^cannot count$|^no context$|`emails` happened more than once/);
  // Hooks are told of what is destroyed in a turn of their own.
  await turn();
  await turn();
  expect([...timers]).toEqual([]);
  expect(running).toBe(0);
  expect(channel('graphql-idempotency').hasSubscribers).toBe(false);
  if (ended === 'well') expect(set - before).toBeGreaterThan(5);
});
