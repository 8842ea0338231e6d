/** Errors that cannot be stored as they were chosen. */

import { FinalError } from 'graphql-idempotency';
import { expect, test } from 'vitest';
import { codeOf, startSums } from './sums.ts';

test('a `storeError` that returns a promise stores nothing, and its rejection does not end the process', async () => {
  const told: string[] = [];
  const sums = await startSums({
    storeError: (async () => {
      throw new Error('the settings cannot be read');
    }) as never,
    logger: { info() {}, warn() {}, error: (message) => void told.push(message) },
  });
  sums.during = () => {
    throw new Error('declined');
  };
  // An unheard rejection would fail this run.
  expect((await sums.add('k')).errors?.[0]?.message).toBe('declined');
  expect(codeOf(await sums.add('k'))).toBeUndefined();
  expect(sums.runs()).toBe(2);
  expect(told[0]).toMatch(/storeError/);
});

test('an error that is too large to be stored is refused, and the next try executes', async () => {
  const sums = await startSums({ maxResultBytes: 1000 });
  sums.during = () => {
    throw new FinalError('x'.repeat(2000));
  };
  expect(codeOf(await sums.add('k'))).toBe('IDEMPOTENCY_RESULT_TOO_LARGE');
  sums.during = sums.write;
  expect((await sums.add('k')).data).toEqual({ add: { n: 1 } });
});
