/** Runs a guarded resolver that was called without a key: in a transaction, without a record. */

import { IdempotencyError } from '../../errors/idempotency-error.ts';
import type { Attempt } from '../../store/port.ts';
import type { TransactionMeans } from '../current.ts';
import { transactionBroken } from '../refusals.ts';
import { settleIn } from '../settle.ts';

interface Circumstances {
  readonly coordinate: string;
  readonly retryAfterMs: number;
}

/** Commits what the resolver wrote if it returns, rolls back if it throws. */
export async function runUnrecorded(
  circumstances: Circumstances,
  attempt: Attempt,
  resolve: (means: TransactionMeans) => unknown,
): Promise<unknown> {
  const { client, addEvent } = attempt;
  const settled = await settleIn(attempt, (tx) => resolve({ attempt: 1, tx, client, period: '', addEvent }));
  switch (settled.kind) {
    case 'died':
      await rollBack(circumstances, attempt, settled.reason);
      throw aborted(circumstances, settled.reason);
    case 'threw': {
      const failed = attempt.wasFailedByStore(settled.error);
      await rollBack(circumstances, attempt, settled.error);
      throw failed ? aborted(circumstances, settled.error) : settled.error;
    }
    case 'returned': {
      const completion = await attempt.commitUnrecorded();
      switch (completion.kind) {
        case 'committed':
          return settled.value;
        case 'aborted':
          throw aborted(circumstances, completion.cause);
        case 'broken':
          throw transactionBroken(circumstances.coordinate, completion.mayBeCommitted, completion.cause);
        case 'unknown':
          throw unknown(circumstances, completion.cause);
      }
    }
  }
}

/** Where somebody else ended the transaction, nobody may be told that nothing happened. */
async function rollBack({ coordinate }: Circumstances, attempt: Attempt, cause: unknown): Promise<void> {
  if ((await attempt.rollback()) === 'ended-underneath') throw transactionBroken(coordinate, true, cause);
}

function aborted({ coordinate, retryAfterMs }: Circumstances, cause: unknown): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_TRANSACTION_ABORTED',
    `${coordinate}: the transaction did not commit. Nothing happened; send it again.`,
    { retryAfterMs, cause },
  );
}

/** Without a key nobody can find out, and a retry may execute twice: not retryable. */
function unknown({ coordinate }: Circumstances, cause: unknown): IdempotencyError {
  return new IdempotencyError(
    'IDEMPOTENCY_OUTCOME_UNKNOWN',
    `${coordinate}: it is not known whether the mutation happened, because it was sent without a key. Find out before you send it again.`,
    { retryable: false, cause },
  );
}
