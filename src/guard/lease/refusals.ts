/** What the caller of an attempt is told that may not complete. */

import { IdempotencyError } from '../../errors/idempotency-error.ts';

/** Another attempt holds the identity by now, or may. */
export function leaseLost(
  { coordinate, retryAfterMs }: { readonly coordinate: string; readonly retryAfterMs: number },
  cause?: unknown,
): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_LEASE_LOST',
    `${coordinate}: this attempt took too long and lost its lease, so its outcome does not count. Retry with the same key.`,
    { retryAfterMs, cause },
  );
}
