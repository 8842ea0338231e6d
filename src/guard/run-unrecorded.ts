/** Runs a guarded resolver that was called without a key: in a transaction, without a record. */

import type { Attempt } from '../store/port.ts';
import { outcomeUnknown, transactionAborted, transactionBroken } from './refusals.ts';
import { settle } from './run-attempt.ts';

interface Circumstances {
  readonly coordinate: string;
  readonly retryAfterMs: number;
}

/** Commits what the resolver wrote if it returns, rolls back if it throws. */
export async function runUnrecorded(
  circumstances: Circumstances,
  attempt: Attempt,
  resolve: () => unknown,
): Promise<unknown> {
  const settled = await settle(resolve, attempt.died);
  switch (settled.kind) {
    case 'died':
      void attempt.rollback();
      throw transactionAborted(circumstances, settled.reason);
    case 'threw': {
      const failed = attempt.wasFailedByStore(settled.error);
      await attempt.rollback();
      throw failed ? transactionAborted(circumstances, settled.error) : settled.error;
    }
    case 'returned': {
      const completion = await attempt.commitUnrecorded();
      switch (completion.kind) {
        case 'committed':
          return settled.value;
        case 'aborted':
          throw transactionAborted(circumstances, completion.cause);
        case 'broken':
          throw transactionBroken(circumstances.coordinate, completion.mayBeCommitted, completion.cause);
        case 'unknown':
          throw outcomeUnknown(circumstances, completion.cause);
      }
    }
  }
}
