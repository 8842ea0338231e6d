/** Runs what must be refused. */

import { IdempotencyError } from '../../src/errors/idempotency-error.ts';

/** Returns the `IdempotencyError` that `call` throws; anything else fails the test. */
export function refusal(call: () => unknown): IdempotencyError {
  try {
    call();
  } catch (error) {
    if (error instanceof IdempotencyError) return error;
    throw error;
  }
  throw new Error('expected an IdempotencyError, but nothing was thrown');
}
