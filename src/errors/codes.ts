/** The closed table of errors: their codes, HTTP statuses and whether a retry can help. The only copy. */

export interface ErrorEntry {
  /** HTTP status of a response in which every root field was refused. */
  readonly status: number;
  /** Whether the same request with the same key may succeed later. */
  readonly retryable: boolean;
  /** When a client meets it, in one line; the docs print this. */
  readonly when: string;
}

export const errorTable = {
  IDEMPOTENCY_KEY_MISSING: {
    status: 400,
    retryable: false,
    when: 'The field requires a key and no source had one.',
  },
  IDEMPOTENCY_KEY_INVALID: {
    status: 400,
    retryable: false,
    when: 'The key does not have the form of a key.',
  },
  IDEMPOTENCY_KEY_CONFLICT: {
    status: 400,
    retryable: false,
    when: 'Sources or merged selections disagree about the key, or one key is on two fields.',
  },
  IDEMPOTENCY_KEY_AMBIGUOUS: {
    status: 400,
    retryable: false,
    when: 'One operation key for several guarded fields or several batch entries.',
  },
  IDEMPOTENCY_KEY_UNSUPPORTED: {
    status: 400,
    retryable: false,
    when: 'A key on a field that is not guarded.',
  },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    retryable: false,
    when: 'The key was used before for another operation or other variables.',
  },
  IDEMPOTENCY_IN_PROGRESS: {
    status: 409,
    retryable: true,
    when: 'Another call with this key is executing now.',
  },
  IDEMPOTENCY_KEY_EXPIRED: {
    status: 410,
    retryable: false,
    when: 'The record of this key has expired, and the key may not be executed again yet.',
  },
  IDEMPOTENCY_OUTCOME_UNKNOWN: {
    status: 503,
    retryable: true,
    when: 'Nobody knows yet whether the mutation happened: a COMMIT without an answer, or an abandoned attempt.',
  },
  IDEMPOTENCY_STORE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    when: 'The record store could not be used; the resolver did not run.',
  },
  IDEMPOTENCY_TRANSACTION_ABORTED: {
    status: 503,
    retryable: true,
    when: 'Postgres ended the transaction: serialization failure, deadlock, timeout, lost connection.',
  },
  IDEMPOTENCY_TRANSACTION_BROKEN: {
    status: 500,
    retryable: false,
    when: 'The resolver ended or poisoned its own transaction: a bug to fix.',
  },
  IDEMPOTENCY_LEASE_LOST: {
    status: 503,
    retryable: true,
    when: 'The attempt lost its lease, so its outcome does not count.',
  },
  IDEMPOTENCY_SCOPE_MISSING: {
    status: 500,
    retryable: false,
    when: 'The `scope` function gave no scope, so the key belongs to nobody.',
  },
  IDEMPOTENCY_PAYLOAD_UNSUPPORTED: {
    status: 400,
    retryable: false,
    when: 'An argument cannot be fingerprinted.',
  },
  IDEMPOTENCY_PAYLOAD_TOO_LARGE: {
    status: 413,
    retryable: false,
    when: 'The arguments, or the number of guarded fields, exceed a limit.',
  },
  IDEMPOTENCY_RESULT_UNSERIALIZABLE: {
    status: 500,
    retryable: false,
    when: 'The result cannot be stored; the transaction was rolled back.',
  },
  IDEMPOTENCY_RESULT_TOO_LARGE: {
    status: 500,
    retryable: false,
    when: 'The result exceeds `maxResultBytes`; the transaction was rolled back.',
  },
  IDEMPOTENCY_RESULT_OMITTED: {
    status: 500,
    retryable: false,
    when: 'The mutation is done, but its result could not be stored.',
  },
  IDEMPOTENCY_RECORD_UNREADABLE: {
    status: 500,
    retryable: false,
    when: 'The stored record is damaged; it is never executed again.',
  },
} as const satisfies Record<`IDEMPOTENCY_${string}`, ErrorEntry>;

export type ErrorCode = keyof typeof errorTable;
