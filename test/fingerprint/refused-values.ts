/** Values of a custom scalar that must be refused, and how. */

import { expect } from 'vitest';
import type { IdempotencyError } from '../../src/errors/idempotency-error.ts';
import type { FingerprintLimits } from '../../src/fingerprint/fingerprint.ts';
import { refusalOfScalar } from './calls.ts';
import type { Rules } from './calls.ts';

/** Expects PAYLOAD_UNSUPPORTED. */
export function unsupported(value: unknown): IdempotencyError {
  const error = refusalOfScalar(value);
  expect(error.code).toBe('IDEMPOTENCY_PAYLOAD_UNSUPPORTED');
  expect(error.message).toContain('Mutation.pay');
  expect(error.message).toContain('"meta"');
  expect(error.message).toContain('ignore');
  return error;
}

/** Expects PAYLOAD_TOO_LARGE, because of the limit. */
export function tooLarge(
  value: unknown,
  limit: keyof FingerprintLimits,
  rules: Rules = {},
): IdempotencyError {
  const error = refusalOfScalar(value, rules);
  expect(error.code).toBe('IDEMPOTENCY_PAYLOAD_TOO_LARGE');
  expect(error.message).toContain('Mutation.pay');
  expect(error.message).toContain(limit);
  return error;
}

/** Wraps 1 so many times. */
export function nested(depth: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = wrap(value);
  return value;
}
