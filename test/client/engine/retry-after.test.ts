/** `Retry-After`: what is taken from it, and what is not. */

import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { readRetryAfter } from '../../../src/client/engine/retry-after.ts';

const read = (headers: Record<string, string>): number | undefined => readRetryAfter(new Headers(headers));

afterEach(() => vi.restoreAllMocks());

describe('seconds', () => {
  test.each([
    ['0', 0],
    ['2', 2000],
    [' 120 ', 120_000],
    ['1.5', 1500],
    ['99999999999', 99_999_999_999_000],
    ['9'.repeat(400), Infinity],
  ])('%s is read', (value, waitMs) => {
    expect(read({ 'retry-after': value })).toBe(waitMs);
  });
});

describe('a date', () => {
  test('counts from the date of the server that sent it, whatever the time is here', () => {
    vi.spyOn(Date, 'now').mockReturnValue(Date.UTC(2030, 5, 5));
    const date = 'Wed, 01 Jan 2025 00:00:00 GMT';
    expect(read({ 'retry-after': 'Wed, 01 Jan 2025 00:00:07 GMT', date })).toBe(7000);
  });

  test.each([{}, { date: 'nonsense' }])(
    'counts from our clock where the server shows none: %j',
    (headers) => {
      vi.spyOn(Date, 'now').mockReturnValue(Date.UTC(2025, 0, 1));
      expect(read({ 'retry-after': 'Wed, 01 Jan 2025 00:00:07 GMT', ...headers })).toBe(7000);
    },
  );

  test('that has passed asks for no wait', () => {
    expect(read({ 'retry-after': 'Mon, 01 Jan 1990 00:00:00 GMT' })).toBe(0);
  });
});

describe('what makes no sense asks for nothing', () => {
  // `Date.parse` takes most of these for dates.
  test.each(['-5', '-0', '+5', '1e3', '0x10', '5, 5', '5s', 'soon', 'GMT', 'soon GMT', '2025-01-01', ''])(
    '%j',
    (value) => {
      expect(read({ 'retry-after': value })).toBeUndefined();
    },
  );

  test('a missing header, and no headers at all', () => {
    expect(read({})).toBeUndefined();
    expect(readRetryAfter(undefined)).toBeUndefined();
  });

  test('no text at all makes a wait that is negative or not a number', () => {
    const dates = fc.date({ noInvalidDate: true }).map((date) => date.toUTCString());
    const numbers = fc.oneof(fc.integer(), fc.double()).map(String);
    fc.assert(
      fc.property(fc.oneof(fc.string(), dates, numbers), fc.oneof(fc.string(), dates), (value, date) => {
        const headers = new Map([
          ['retry-after', value],
          ['date', date],
        ]);
        const waitMs = readRetryAfter({ get: (name) => headers.get(name) ?? null });
        expect(waitMs === undefined || waitMs >= 0).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
