/** Mode LEASE on the embedded database, where renewals share the one connection with everybody else. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CurrentAttempt } from 'graphql-idempotency';
import { startChild } from '../../support/child.ts';
import { removeFolder, temporaryFolder } from '../../support/janitor.ts';
import { deferred, eventually, within } from '../../support/signal.ts';
import { openPayouts } from './leased-payouts.ts';
import type { Payouts, PayoutsOptions } from './leased-payouts.ts';

let folder: string;
let payouts: Payouts;
/** What the fields of the open instance do; each test says. */
let payout: NonNullable<PayoutsOptions['payout']> = () => 1;
let write: NonNullable<PayoutsOptions['write']> = () => 1;

// Opening a folder takes a second or more: the tests share one, and the first finds what a killed process left.
const killed: Record<string, string> = {};

beforeAll(async () => {
  folder = await temporaryFolder('embedded-lease');
  const child = startChild({
    file: new URL('leased-payouts.ts', import.meta.url),
    env: { PAYOUTS_FOLDER: folder },
    until: 'file',
  });
  for (const _ of [1, 2]) {
    const { key, charged } = await child.message<{ key: string; charged: string }>(
      (message) => 'charged' in message,
      { timeoutMs: 60_000 },
    );
    killed[key] = charged;
  }
  await child.kill();
  payouts = await open();
}, 120_000);

afterAll(async () => {
  await payouts.end();
  removeFolder(folder);
});

function open(options: PayoutsOptions['options'] = {}): Promise<Payouts> {
  return openPayouts({
    folder,
    options: { lease: 2400, claimTimeout: 1600, acquireTimeout: 800, probeTimeout: 1600, ...options },
    payout: (current, key) => payout(current, key),
    write: (current) => write(current),
  });
}

const countOf = async (table: string): Promise<number> =>
  (await payouts.pool.query<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]!.n;

test('what a killed process left is taken over when its lease has ended, with the steps that are done', async () => {
  const runs: [number, string][] = [];
  let charges = 0;
  payout = async ({ step, attempt, deriveKey }) => {
    const charged = await step('charge', () => {
      charges += 1;
      return 'charged again';
    });
    runs.push([attempt, charged]);
    expect(charged).toBe(deriveKey('charge'));
    return 42;
  };
  // It waits for the end of the lease, and then executes the next attempt.
  expect(await payouts.call('payout', 'killed')).toBe(42);
  expect(runs).toEqual([[2, killed['killed']]]);
  expect(charges).toBe(0);
  expect(await payouts.call('payout', 'killed')).toBe(42);
  expect(runs).toHaveLength(1);

  await eventually(async () => {
    const answer = await payouts.call('refuse', 'killed-and-refused');
    return answer === 'IDEMPOTENCY_OUTCOME_UNKNOWN';
  });
  expect(runs).toHaveLength(1);
  const [record] = await payouts.idempotency.abandoned();
  expect(record).toMatchObject({
    coordinate: 'Mutation.refuse',
    attempt: 1,
    steps: [{ name: 'charge', attempt: 1, outcome: 'result', value: killed['killed-and-refused'] }],
  });
  expect(await payouts.idempotency.resolve(record!.identity, { outcome: 'completed', result: 7 })).toBe(
    'resolved',
  );
  expect(await payouts.call('refuse', 'killed-and-refused')).toBe(7);
});

test('steps, and steps with a transaction, whose writes commit with their entry', async () => {
  await payouts.pool.query('create table ledger (n integer)');
  let failing = true;
  const called: string[] = [];
  payout = async ({ step }) => {
    const one = await step('one', () => (called.push('one'), 1));
    const two = await step.transaction('two', async (tx) => {
      called.push('two');
      await tx.query('insert into ledger values ($1)', [one]);
      return 2;
    });
    if (failing) throw new Error('the provider is down');
    return one + two;
  };
  expect(await payouts.call('payout', 'steps')).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(await countOf('ledger')).toBe(1);
  failing = false;
  expect(await payouts.call('payout', 'steps')).toBe(3);
  expect(await countOf('ledger')).toBe(1);
  expect(called).toEqual(['one', 'two']);
});

test('a duplicate that waits gets the answer of the call that executes, with the one connection free', async () => {
  const [begun, finish] = [deferred(), deferred()];
  let runs = 0;
  payout = async () => {
    runs += 1;
    begun.resolve();
    await finish.promise;
    return 5;
  };
  const first = payouts.call('payout', 'waiting');
  await begun.promise;
  const waiting = Array.from({ length: 20 }, () => payouts.call('payout', 'waiting'));
  expect((await payouts.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  finish.resolve();
  expect(await Promise.all([first, ...waiting])).toEqual(Array.from({ length: 21 }, () => 5));
  expect(runs).toBe(1);
});

describe('while a TRANSACTION attempt holds the connection for longer than a lease', () => {
  /** Starts an attempt in lease mode, and then one in a transaction, which keeps the connection until `free`. */
  async function holding(key: string) {
    const [leased, held] = [deferred<CurrentAttempt>(), deferred()];
    const [finish, free] = [deferred(), deferred()];
    const attempts: number[] = [];
    payout = async (current) => {
      attempts.push(current.attempt);
      if (attempts.length > 1) return 100 + current.attempt;
      leased.resolve(current);
      await finish.promise;
      return 1;
    };
    write = async ({ tx }) => {
      await tx.query('select 1');
      held.resolve();
      await free.promise;
      return 2;
    };
    const paying = payouts.call('payout', key);
    const { signal, step } = await leased.promise;
    const aborted = deferred<unknown>();
    signal.addEventListener('abort', () => aborted.resolve(signal.reason));
    const writing = payouts.call('write', key + '-write');
    await held.promise;
    return { paying, writing, aborted: aborted.promise, step, attempts, finish, free };
  }

  test('the signal aborts, no step begins; freed in time, the attempt still completes', async () => {
    const { paying, writing, aborted, step, attempts, finish, free } = await holding('freed');
    expect(String(await within(aborted))).toContain('could not be renewed in time');
    await expect(step('late', () => 1)).rejects.toMatchObject({
      extensions: { code: 'IDEMPOTENCY_LEASE_LOST' },
    });
    free.resolve();
    expect(await writing).toBe(2);
    finish.resolve();
    expect(await paying).toBe(1);
    expect(attempts).toEqual([1]);
    expect(await payouts.call('payout', 'freed')).toBe(1);
  });

  test('retries meanwhile execute nothing; whoever comes first afterwards has the one outcome', async () => {
    const { paying, writing, aborted, attempts, finish, free } = await holding('retried');
    await within(aborted);
    // In the same process it is the first call's end that they wait for.
    const retry = payouts.call('payout', 'retried');
    expect(attempts).toEqual([1]);
    free.resolve();
    expect(await writing).toBe(2);
    finish.resolve();
    expect(await paying).toBe(1);
    expect(await retry).toBe(1);
    expect(attempts).toEqual([1]);
  });

  test('a completion that finds no connection in time is no success: the next attempt is', async () => {
    const { paying, writing, attempts, finish, free } = await holding('starved');
    finish.resolve();
    expect(await within(paying)).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    free.resolve();
    expect(await writing).toBe(2);
    const answer = await within(payouts.call('payout', 'starved'));
    expect(answer).toBe(102);
    expect(attempts).toEqual([1, 2]);
  });
});

test('closed with an attempt under way: the next to open the folder need not wait for its lease', async () => {
  await payouts.idempotency.close();
  await payouts.pool.end();
  payouts = await open({ lease: 60_000 });
  const [begun, late] = [deferred(), deferred()];
  const attempts: number[] = [];
  payout = async ({ attempt, step }) => {
    attempts.push(attempt);
    const charged = await step('charge', () => `charge of attempt ${attempt}`);
    if (attempt > 1) return charged.length;
    begun.resolve();
    await late.promise;
    return 1;
  };
  const first = payouts.call('payout', 'closed');
  await begun.promise;
  await within(payouts.end());
  expect(await within(first, { timeoutMs: 10_000 })).toBe('IDEMPOTENCY_LEASE_LOST');
  payouts = await open({ lease: 60_000 });
  late.resolve();
  const begunAt = performance.now();
  expect(await payouts.call('payout', 'closed')).toBe('charge of attempt 1'.length);
  expect(performance.now() - begunAt).toBeLessThan(10_000);
  expect(attempts).toEqual([1, 2]);
});
