/** The estimate of Postgres's clock. */

import { expect, test } from 'vitest';
import { StoreClock } from '../../src/store/clock.ts';

test('knows nothing before the first observation', () => {
  expect(new StoreClock().now()).toBeUndefined();
});

test('an answer that was long on its way does not make the clock late', () => {
  const clock = new StoreClock();
  const askedMs = performance.now() - 1950;
  clock.observe(1_000_000, askedMs);
  // The server read its clock after it was asked: by now it shows at least what has passed since.
  expect(clock.now()).toBeGreaterThanOrEqual(1_001_950);
});
