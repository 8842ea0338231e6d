/** The answers of calls that neither execute nor replay. Messages name the field and what to do. */

import { IdempotencyError } from '../errors/idempotency-error.ts';
import type { Decision } from '../record/decide.ts';

interface Circumstances {
  readonly coordinate: string;
  readonly retryAfterMs: number;
}

/** The error of a decision that forbids both executing and replaying. */
export function refusalFor(
  decision: Exclude<Decision, { kind: 'execute' | 'replay' }>,
  { coordinate, retryAfterMs }: Circumstances,
): IdempotencyError {
  switch (decision.kind) {
    case 'mismatch':
      return new IdempotencyError(
        'IDEMPOTENCY_KEY_REUSED',
        `${coordinate}: this key was used before for another operation or other arguments. Nothing was executed. Use a new key for a new intent.`,
      );
    case 'busy':
      return inProgress({ coordinate, retryAfterMs });
    case 'expired':
      return new IdempotencyError(
        'IDEMPOTENCY_KEY_EXPIRED',
        `${coordinate}: the answer to this key is no longer kept. Nothing was executed. Find out whether it happened before you use a new key.`,
      );
    case 'abandoned':
      return outcomeUnknown({ coordinate, retryAfterMs });
    case 'omitted':
      return new IdempotencyError(
        'IDEMPOTENCY_RESULT_OMITTED',
        `${coordinate}: the mutation is done, but its result could not be stored. Do not send it again with a new key; query for the result.`,
      );
    case 'unsupported':
      return storeUnavailable(
        { coordinate, retryAfterMs },
        new Error('the record was written by a newer version of graphql-idempotency'),
      );
  }
}

export function inProgress({ coordinate, retryAfterMs }: Circumstances): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_IN_PROGRESS',
    `${coordinate}: another call with this key is executing. Retry later with the same key.`,
    { retryAfterMs },
  );
}

export function storeUnavailable(
  { coordinate, retryAfterMs }: Circumstances,
  cause: unknown,
): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_STORE_UNAVAILABLE',
    `${coordinate}: the record store cannot be used now. Nothing was executed. Retry with the same key.`,
    { retryAfterMs, cause },
  );
}

export function transactionAborted(
  { coordinate, retryAfterMs }: Circumstances,
  cause: unknown,
): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_TRANSACTION_ABORTED',
    `${coordinate}: the transaction did not commit. Retry with the same key.`,
    { retryAfterMs, cause },
  );
}

export function outcomeUnknown(
  { coordinate, retryAfterMs }: Circumstances,
  cause?: unknown,
): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_OUTCOME_UNKNOWN',
    `${coordinate}: it is not known yet whether the mutation happened. Retry with the same key, never with a new one.`,
    { retryAfterMs, cause },
  );
}

export function transactionBroken(
  coordinate: string,
  mayBeCommitted: boolean,
  cause: unknown,
): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_TRANSACTION_BROKEN',
    mayBeCommitted
      ? `${coordinate}: its resolver ended the transaction that the guard had begun. Its writes may be committed; they were not rolled back. This is a bug in the resolver.`
      : `${coordinate}: its resolver left a transaction that cannot commit, most likely by going on after a failed statement. It was rolled back. This is a bug in the resolver: let the error through, or use a savepoint.`,
    { cause },
  );
}

export function recordUnreadable(coordinate: string, cause: unknown): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_RECORD_UNREADABLE',
    `${coordinate}: the stored answer to this key cannot be read. The mutation is not executed again.`,
    { cause },
  );
}

/** @param fields coordinates of the fields that carry a key and take none. */
export function keyUnsupported(fields: readonly string[]): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_KEY_UNSUPPORTED',
    `@idempotent(key:) stands on ${fields.join(', ')}, which takes no idempotency key. Put it on a guarded root field of a mutation.`,
  );
}
