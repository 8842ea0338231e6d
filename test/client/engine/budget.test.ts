/** The retry budget: what earns a retry, and who shares it. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RetryBudget, idempotentFetch } from 'graphql-idempotency/client';
import type { OutcomeUnknownError } from 'graphql-idempotency/client';
import { readRetryOptions } from '../../../src/client/engine/retry-options.ts';
import { scriptedServer } from '../support/scripted-server.ts';
import type { Step } from '../support/scripted-server.ts';
import { useVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

const MINUTE = 60_000;
let clock: VirtualClock;

beforeEach(() => {
  clock = useVirtualClock();
});
afterEach(() => clock.restore());

/** How many retries there are to take. */
function taken(budget: RetryBudget): number {
  let count = 0;
  while (count < 1000 && budget.take()) count += 1;
  return count;
}

function earn(budget: RetryBudget, requests: number): void {
  for (let request = 0; request < requests; request += 1) budget.earn();
}

describe('a budget', () => {
  test('has its minimum at the start, for those who send little', () => {
    expect(taken(new RetryBudget())).toBe(10);
    expect(taken(new RetryBudget({ minimumPerMinute: 3 }))).toBe(3);
  });

  test('earns a retry with every ten requests', () => {
    const budget = new RetryBudget();
    taken(budget);
    earn(budget, 9);
    expect(taken(budget)).toBe(0);
    earn(budget, 1);
    expect(taken(budget)).toBe(1);
  });

  test.each([0.1, 0.2, 0.3, 1 / 3])('keeps retries at the share of requests: %d', (share) => {
    const budget = new RetryBudget({ share, minimumPerMinute: 0 });
    let retries = 0;
    for (let request = 0; request < 3000; request += 1) {
      budget.earn();
      if (budget.take()) retries += 1;
    }
    expect(Math.abs(retries - 3000 * share)).toBeLessThanOrEqual(1);
  });

  test('saves up no more than its minimum', () => {
    const budget = new RetryBudget({ minimumPerMinute: 4 });
    earn(budget, 1000);
    clock.jump(100 * MINUTE);
    expect(taken(budget)).toBe(4);
  });

  test('without a minimum saves up one retry', () => {
    const budget = new RetryBudget({ minimumPerMinute: 0 });
    expect(taken(budget)).toBe(0);
    earn(budget, 1000);
    expect(taken(budget)).toBe(1);
  });

  test('without a share and a minimum allows none', () => {
    const budget = new RetryBudget({ share: 0, minimumPerMinute: 0 });
    earn(budget, 1000);
    clock.jump(100 * MINUTE);
    expect(taken(budget)).toBe(0);
  });

  test('gets its minimum back over a minute', () => {
    const budget = new RetryBudget({ share: 0, minimumPerMinute: 6 });
    taken(budget);
    clock.jump(MINUTE / 2);
    expect(taken(budget)).toBe(3);
    clock.jump(MINUTE / 6 - 1);
    expect(taken(budget)).toBe(0);
    clock.jump(1);
    expect(taken(budget)).toBe(1);
  });

  test('neither gains nor loses by a clock that is set back', () => {
    const budget = new RetryBudget({ share: 0, minimumPerMinute: 6 });
    clock.jump(-100 * MINUTE);
    expect(taken(budget)).toBe(6);
    clock.jump(-100 * MINUTE);
    expect(taken(budget)).toBe(0);
    // It counts on from the time that the clock shows now.
    clock.jump(MINUTE / 2);
    expect(taken(budget)).toBe(3);
  });

  test.each([
    { share: -0.1 },
    { share: 1.1 },
    { share: Number.NaN },
    { minimumPerMinute: -1 },
    { minimumPerMinute: Infinity },
    { minimumPerMinute: Number.NaN },
  ])('of %j is refused', (options) => {
    expect(() => new RetryBudget(options)).toThrow(RangeError);
  });
});

const down: Step = { failure: 'bad gateway', asked: 'missing', latencyMs: 1, lateMs: 0 };
const PAY = { method: 'POST', body: JSON.stringify({ query: 'mutation { pay }' }) };
const QUERY = { method: 'POST', body: JSON.stringify({ query: '{ ping }' }) };

describe('clients of one process', () => {
  test('share a budget unless they are given one', () => {
    expect(readRetryOptions({}).budget).toBe(readRetryOptions({}).budget);
    const budget = new RetryBudget();
    expect(readRetryOptions({ budget }).budget).toBe(budget);
  });

  test('that share one have their retries counted together', async () => {
    const budget = new RetryBudget({ share: 0, minimumPerMinute: 3 });
    const server = scriptedServer(
      clock,
      Array.from({ length: 20 }, () => down),
    );
    const clients = [1, 2, 3, 4].map(() => idempotentFetch({ budget, fetch: server.fetch, attempts: 2 }));
    const calls = clients.map((send) => send('http://shop.example', PAY).catch((error: unknown) => error));
    const errors = (await clock.until(Promise.all(calls))) as OutcomeUnknownError[];
    expect(server.attempts).toHaveLength(4 + 3);
    expect(errors.map(({ reason }) => reason).toSorted()).toEqual([
      'attempts',
      'attempts',
      'attempts',
      'budget',
    ]);
  });

  test('hear at once that the budget is exhausted, with what came last', async () => {
    const budget = new RetryBudget({ share: 0, minimumPerMinute: 0 });
    const server = scriptedServer(clock, [down, down]);
    const send = idempotentFetch({ budget, fetch: server.fetch });
    const pay = await clock.until(send('http://shop.example', PAY).catch((error: unknown) => error));
    expect(pay).toMatchObject({ name: 'OutcomeUnknownError', reason: 'budget', received: { status: 502 } });
    expect((pay as Error).message).toMatch(/budget is exhausted.*the same key may be sent again/);
    const query = await clock.until(send('http://shop.example', QUERY).catch((error: unknown) => error));
    expect(query).toMatchObject({ name: 'RetryBudgetExhaustedError', received: { status: 502 } });
    expect((query as Error).message).toMatch(/budget is exhausted/);
    expect(clock.now()).toBe(2);
  });
});
