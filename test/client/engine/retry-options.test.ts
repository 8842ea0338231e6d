/** What can be said about retries, and what is refused. */

import { describe, expect, test } from 'vitest';
import { idempotentFetch } from 'graphql-idempotency/client';
import { readRetryOptions } from '../../../src/client/engine/retry-options.ts';

const TOO_LONG = 2 ** 31;

describe('a setting that makes no sense is a RangeError that names it', () => {
  test.each([
    ['attempts', [0, -1, Number.NaN, Infinity]],
    ['attemptTimeoutMs', [0, -1, Number.NaN, Infinity, TOO_LONG]],
    ['deadlineMs', [0, -1, Number.NaN, Infinity, TOO_LONG]],
    ['baseDelayMs', [-1, Number.NaN, Infinity, TOO_LONG]],
    ['maxDelayMs', [-1, Number.NaN, Infinity, TOO_LONG]],
  ] as const)('%s', (name, values) => {
    for (const value of values) {
      const options = { keyRetentionMs: Infinity, [name]: value };
      expect(() => readRetryOptions(options)).toThrow(RangeError);
      expect(() => readRetryOptions(options)).toThrow(name);
      expect(() => idempotentFetch(options)).toThrow(name);
    }
  });

  test.each([
    { deadlineMs: 60_000, keyRetentionMs: 60_000 },
    { deadlineMs: 60_001, keyRetentionMs: 60_000 },
    { keyRetentionMs: 60_000 },
    { keyRetentionMs: Number.NaN },
  ])('a deadline that is not below the retention: %j', (options) => {
    expect(() => readRetryOptions(options)).toThrow(RangeError);
    expect(() => readRetryOptions(options)).toThrow('keyRetentionMs');
  });
});

test('the defaults are what the documents say', () => {
  expect(readRetryOptions({})).toMatchObject({
    attempts: 8,
    baseDelayMs: 200,
    maxDelayMs: 20_000,
    attemptTimeoutMs: 20_000,
    deadlineMs: 60_000,
    keyRetentionMs: 86_400_000,
  });
});

test('the limits themselves are allowed', () => {
  const options = {
    attempts: 1,
    baseDelayMs: 0,
    maxDelayMs: 0,
    attemptTimeoutMs: TOO_LONG - 1,
    deadlineMs: TOO_LONG - 1,
    keyRetentionMs: TOO_LONG,
  };
  expect(readRetryOptions(options)).toMatchObject(options);
});

test('without a budget there are as many retries as attempts', () => {
  const { budget } = readRetryOptions({ budget: false });
  for (let retry = 0; retry < 1000; retry += 1) expect(budget.take()).toBe(true);
});
