/** What a message's failure means for its next delivery. */

import { IdempotencyError } from '../errors/idempotency-error.ts';

export type Verdict =
  /** It was handled, though nobody can say what came of it. */
  | 'handled'
  /** It says nothing of the message: it comes again, as often as it takes. */
  | 'transient'
  /** It may go well the next time, and is a dead letter after too many. */
  | 'failed'
  /** It never goes well. */
  | 'hopeless';

/** What the guard threw, where its handler did not throw it. */
export function judgeRefusal(error: unknown, mode: 'TRANSACTION' | 'LEASE'): Verdict {
  if (!(error instanceof IdempotencyError)) return 'failed';
  switch (error.extensions.code) {
    case 'IDEMPOTENCY_KEY_EXPIRED':
    case 'IDEMPOTENCY_RESULT_OMITTED':
      return 'handled';
    case 'IDEMPOTENCY_IN_PROGRESS':
    case 'IDEMPOTENCY_STORE_UNAVAILABLE':
    case 'IDEMPOTENCY_LEASE_LOST':
      return 'transient';
    case 'IDEMPOTENCY_OUTCOME_UNKNOWN':
      // Of a COMMIT the next delivery will know. Of a lease only an operator may.
      return mode === 'LEASE' ? 'failed' : 'transient';
    case 'IDEMPOTENCY_KEY_REUSED':
    case 'IDEMPOTENCY_PAYLOAD_UNSUPPORTED':
    case 'IDEMPOTENCY_PAYLOAD_TOO_LARGE':
    case 'IDEMPOTENCY_RECORD_UNREADABLE':
      return 'hopeless';
    default:
      return 'failed';
  }
}
