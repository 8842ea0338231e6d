import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdempotencyError } from '../../src/errors/idempotency-error.ts';
import { fingerprintOfScalar } from './calls.ts';
import { unsupported } from './refused-values.ts';

describe('any value at all', () => {
  it('has a fingerprint or is refused with a code', () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withObjectString: true,
      withSet: true,
      withSparseArray: true,
      withTypedArray: true,
      withUnicodeString: true,
    });
    fc.assert(
      fc.property(anything, (value) => {
        try {
          expect(fingerprintOfScalar(value)).toBe(fingerprintOfScalar(value));
        } catch (error) {
          if (!(error instanceof IdempotencyError)) throw error;
          expect(error.code).toMatch(/^IDEMPOTENCY_PAYLOAD_(UNSUPPORTED|TOO_LARGE)$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('that parses as JSON has a fingerprint, unless an integer in it may have been rounded', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const rounded = JSON.stringify(value, (_key, entry: unknown) =>
          Number.isInteger(entry) && !Number.isSafeInteger(entry) ? 'rounded' : entry,
        ).includes('"rounded"');
        if (rounded) unsupported(value);
        else expect(fingerprintOfScalar(value)).toHaveLength(64);
      }),
      { numRuns: 1000 },
    );
  });

  it('is left as it was', () => {
    const value = { b: [3, { z: 1, a: 2 }], a: 1 };
    const before = JSON.stringify(value);
    fingerprintOfScalar(Object.freeze(value));
    expect(JSON.stringify(value)).toBe(before);
  });
});
