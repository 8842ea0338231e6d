/** How waits are drawn. */

import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { drawDelay } from '../../../src/client/engine/backoff.ts';

const plain = { made: 1, baseDelayMs: 200, maxDelayMs: 20_000, retryAfterMs: undefined, leftMs: 60_000 };
const draw = (random: number, backoff: Partial<Parameters<typeof drawDelay>[0]>): number | undefined => {
  vi.spyOn(Math, 'random').mockReturnValue(random);
  return drawDelay({ ...plain, ...backoff });
};

afterEach(() => vi.restoreAllMocks());

describe('full jitter', () => {
  test('begins at nothing, and its range doubles up to the cap', () => {
    const highest = [1, 2, 3, 8, 40, 2000].map((made) => draw(1, { made }));
    expect(highest).toEqual([200, 400, 800, 20_000, 20_000, 20_000]);
    expect(draw(0, { made: 7 })).toBe(0);
  });

  test('without a base there is no wait', () => {
    expect(draw(1, { baseDelayMs: 0 })).toBe(0);
  });
});

describe('what the server asks for', () => {
  test('is a floor, above which its clients spread as wide as the floor is high', () => {
    expect(draw(0, { retryAfterMs: 5000 })).toBe(5000);
    expect(draw(1, { retryAfterMs: 5000 })).toBe(10_000);
  });

  test.each([60_000, 60_001, Infinity])('beyond the deadline is not waited for: %d', (retryAfterMs) => {
    expect(draw(0, { retryAfterMs })).toBeUndefined();
  });

  test('short of the deadline leaves time for the attempt', () => {
    expect(draw(0.999, { retryAfterMs: 50_000 })).toBeLessThan(60_000);
    expect(draw(0, { retryAfterMs: 50_000 })).toBe(50_000);
  });
});

test('no deadline that is over is waited for', () => {
  expect(draw(0.5, { leftMs: 0 })).toBeUndefined();
  expect(draw(0.5, { leftMs: -1 })).toBeUndefined();
});

test('whatever is asked for, a wait is at least the floor and ends before the deadline', () => {
  const ms = fc.oneof(fc.nat(100_000), fc.double({ min: 0, max: 1e9, noNaN: true }));
  const backoff = fc.record({
    made: fc.integer({ min: 1, max: 100 }),
    baseDelayMs: ms,
    maxDelayMs: ms,
    retryAfterMs: fc.oneof(fc.constant(undefined), fc.constant(Infinity), ms),
    leftMs: fc.integer({ min: -10, max: 100_000 }),
  });
  fc.assert(
    fc.property(backoff, (backoff) => {
      const delayMs = drawDelay(backoff);
      const floorMs = backoff.retryAfterMs ?? 0;
      if (delayMs === undefined) {
        expect(floorMs).toBeGreaterThanOrEqual(backoff.leftMs);
        return;
      }
      expect(delayMs).toBeGreaterThanOrEqual(floorMs);
      // Drawn to the last bit below it, the sum may round up to it.
      expect(delayMs).toBeLessThanOrEqual(backoff.leftMs);
    }),
    { numRuns: 2000 },
  );
});
