/** The storm in small worlds: the same again for the same seed, and every promise is missed where it is broken. */

import { describe, expect, test, vi } from 'vitest';
import { RetryBudget } from 'graphql-idempotency/client';
import { HIGHEST_PEAK } from '../../bench/storm/bounds.ts';
import { engine, fullJitter, withBudget } from '../../bench/storm/engine.ts';
import { noJitter } from '../../bench/storm/no-jitter.ts';
import { retryLink } from '../../bench/storm/retry-link.ts';
import { simulate } from '../../bench/storm/simulate.ts';
import type { Row } from '../../bench/storm/simulate.ts';
import { STRATEGIES } from '../../bench/storm/strategies.ts';
import type { Strategy } from '../../bench/storm/strategy.ts';
import { DEFAULT_WORLD } from '../../bench/storm/world.ts';

const small = { ...DEFAULT_WORLD, clients: 10, warmUpMs: 2000, outageMs: 12_000, watchMs: 60_000 };
const loud = { ...small, ratePerClient: 50 };
/** A storm takes seconds, and on a machine with other work to do minutes. */
vi.setConfig({ testTimeout: 300_000 });

const highest = ({ peakDuring, peakAfter }: Row): number => Math.max(peakDuring, peakAfter);

describe.each(STRATEGIES)('$name', (strategy) => {
  test('is the same for the same seed, and another for another', async () => {
    const row = await simulate(small, strategy);
    expect(await simulate(small, strategy)).toEqual(row);
    expect(await simulate({ ...small, seed: 2 }, strategy)).not.toEqual(row);
  });
});

test.each([fullJitter, withBudget])('$name is the same on the real platform', async (strategy) => {
  const real = { AbortController, Headers, Response };
  expect(await simulate(small, strategy, real)).toEqual(await simulate(small, strategy));
});

test.each([noJitter, retryLink, fullJitter])('$name does not depend on the rate', async (strategy) => {
  const mean = ({ load }: Row, from: number, until: number): number =>
    load.slice(from, until).reduce((sum, value) => sum + value, 0) / (until - from);
  const slow = await simulate({ ...small, clients: 50, rateWithoutBudget: 3 }, strategy);
  const fast = await simulate({ ...small, clients: 50, rateWithoutBudget: 9 }, strategy);
  const [down, up] = [small.warmUpMs / 1000, (small.warmUpMs + small.outageMs) / 1000];
  expect(mean(slow, down, up)).toBeGreaterThan(3);
  expect(mean(fast, down, up) / mean(slow, down, up)).toBeCloseTo(1, 1);
  expect(mean(fast, up, up + 5) / mean(slow, up, up + 5)).toBeCloseTo(1, 1);
});

describe('with a budget and Retry-After', () => {
  test('the load stays within its bound, and nothing is executed twice', async () => {
    // As many requests as it takes for chance to even out.
    const row = await simulate({ ...loud, clients: 30 }, withBudget);
    expect(highest(row)).toBeLessThanOrEqual(HIGHEST_PEAK);
    expect(row).toMatchObject({ executedTwice: 0, drainMs: expect.any(Number) as number });
    expect(row.saved).toBeGreaterThan(0);
    expect(row.lost + row.saved).toBeGreaterThanOrEqual(row.met);
  });

  const without = (parts: Partial<Parameters<typeof engine>[0]>): Strategy =>
    engine({
      name: 'broken',
      hasBudget: true,
      retryAfter: true,
      options: () => ({ budget: new RetryBudget() }),
      ...parts,
    });

  test.each([
    ['no budget', without({ options: () => ({ budget: false }) })],
    ['twice the share', without({ options: () => ({ budget: new RetryBudget({ share: 0.2 }) }) })],
    ['a large minimum', without({ options: () => ({ budget: new RetryBudget({ minimumPerMinute: 100 }) }) })],
    ['no Retry-After', without({ retryAfter: false })],
  ])('%s misses the bound of the peak', async (_, strategy) => {
    expect(highest(await simulate(loud, strategy))).toBeGreaterThan(HIGHEST_PEAK);
  });

  test('clients that are quiet beside the minimum miss it too', async () => {
    const row = await simulate({ ...small, clients: 100, ratePerClient: 2 }, withBudget);
    expect(highest(row)).toBeGreaterThan(HIGHEST_PEAK);
  });

  test('a key that gets lost is executed twice', async () => {
    const keyless: Strategy = {
      ...withBudget,
      createClient: (server, world) =>
        withBudget.createClient(
          { receive: ({ intent }, tell) => server.receive({ intent, key: undefined }, tell) },
          world,
        ),
    };
    expect((await simulate(loud, keyless)).executedTwice).toBeGreaterThan(0);
  });
});

test('without keys intents are executed twice, and with RetryLink the load is a multiple', async () => {
  const row = await simulate({ ...small, clients: 100 }, retryLink);
  expect(row.executedTwice).toBeGreaterThan(0);
  expect(highest(row)).toBeGreaterThan(3);
});

test('a storm that does not end is said to take too long', async () => {
  const stubborn: Strategy = {
    name: 'stubborn',
    hasBudget: false,
    createClient: (server) => ({
      begin: async (intent) =>
        new Promise((resolve) => {
          const again = (): void => {
            server.receive({ intent, key: undefined }, (answer) => {
              if (answer === 'done') resolve(true);
              else setTimeout(again, 100);
            });
          };
          again();
        }),
    }),
  };
  const row = await simulate({ ...small, capacity: 1.01, watchMs: 10_000 }, stubborn);
  expect(row.drainMs).toBeUndefined();
});
