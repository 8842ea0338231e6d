/** The storm's bounds: each is missed by the row that breaks it, and by no other. */

import { expect, test } from 'vitest';
import { checkBounds } from '../../bench/storm/bounds.ts';
import { fullJitter, withBudget } from '../../bench/storm/engine.ts';
import { noJitter } from '../../bench/storm/no-jitter.ts';
import { retryLink } from '../../bench/storm/retry-link.ts';
import type { Row } from '../../bench/storm/simulate.ts';
import { DEFAULT_WORLD } from '../../bench/storm/world.ts';

const world = { ...DEFAULT_WORLD, warmUpMs: 2000 };

function row(name: string, parts: Partial<Row> = {}): Row {
  return {
    name,
    ratePerClient: 5,
    requestsPerIntent: 3,
    load: [1, 1, 5, 3],
    peakDuring: 5,
    peakAfter: 3,
    peakOfTenMs: 9,
    drainMs: 8000,
    met: 100,
    lost: 50,
    saved: 50,
    executedTwice: 0,
    ...parts,
  };
}

const calm = { load: [1, 1, 1.1, 1.1], peakDuring: 1.15, peakAfter: 1.15 };

function missed(broken: Record<string, Partial<Row>>): string[] {
  const rows = [
    row(noJitter.name, { executedTwice: 9 }),
    row(retryLink.name, { executedTwice: 7, ...broken['apollo'] }),
    row(fullJitter.name, broken['jitter']),
    row(withBudget.name, { ...calm, ...broken['budget'] }),
  ];
  return checkBounds(rows, world)
    .filter(({ holds }) => !holds)
    .map(({ claim }) => claim);
}

test('a storm as it should be misses none', () => {
  expect(missed({})).toEqual([]);
});

test.each([
  ['a peak in the outage', { budget: { peakDuring: 1.1501 } }, /budget.*during the outage at most 1.15/],
  ['a peak after the outage', { budget: { peakAfter: 1.1501 } }, /budget.*after the outage at most 1.15/],
  ['a second execution with a budget', { budget: { executedTwice: 1 } }, /budget.*no intent executed twice/],
  ['a second execution without', { jitter: { executedTwice: 1 } }, /^full jitter: no intent executed twice/],
  ['no retry that is answered', { budget: { saved: 0 } }, /its retries get answers/],
  ['a storm that never ends', { budget: { drainMs: undefined } }, /the storm drains/],
  ['a RetryLink that does no harm', { apollo: { peakDuring: 2.2, peakAfter: 1 } }, /RetryLink.*peaks/],
  ['a RetryLink that executes once', { apollo: { executedTwice: 0 } }, /RetryLink.*executes intents twice/],
  ['a load that is not normal', { jitter: { load: [1, 1.03, 5] } }, /load is normal before the outage/],
  ['a load that is missing', { apollo: { load: [1, 0.97, 5] } }, /load is normal before the outage/],
])('%s misses the bound that is about it, and no other', (_, broken, claim) => {
  expect(missed(broken)).toEqual([expect.stringMatching(claim)]);
});
