/** A step whose writes and whose entry in the journal commit together. */

import type { RecordedStep, StepCompletion, StepTransaction } from '../lease-port.ts';
import type { Attempt } from '../port.ts';
import type { Holder, LeaseStatements } from './lease-statements.ts';
import { commitAlone, untilAnswered } from './own-transaction.ts';
import type { OwnTransactionContext } from './own-transaction.ts';
import type { Answer } from './session.ts';
import { ATTEMPT_ENDED, LEASE_LOST, cannotCommit, sqlStateOf } from './sqlstate.ts';
import { ROLLBACK } from './statements.ts';

/** An attempt that can commit with a statement of its caller's. */
export interface StepAttempt {
  /** The statement raises where it must not commit. */
  commitWith(
    statement: (marker: string) => string,
  ): Promise<StepAnswer | Extract<StepCompletion, { readonly kind: 'broken' }>>;
}

/** `unanswered`: the connection is destroyed, and the COMMIT may yet arrive. */
export type StepAnswer = Answer & { readonly unanswered?: boolean };

export interface StepTransactionContext extends OwnTransactionContext {
  readonly leases: LeaseStatements;
  readonly probeTimeout: number;
  readonly attempt: Attempt & StepAttempt;
  readonly holder: Holder;
}

export function stepTransaction(context: StepTransactionContext): StepTransaction {
  const { attempt, leases, holder } = context;
  return {
    tx: attempt.tx,
    died: attempt.died,
    addEvent: (event) => attempt.addEvent(event),
    enter: (work) => attempt.enter(work),
    wasFailedByStore: (error) => attempt.wasFailedByStore(error),
    rollback: () => attempt.rollback(),
    async commit(step) {
      const answer = await attempt.commitWith((marker) => leases.recordStep(holder, step, marker).text);
      if (answer.kind === 'broken') return answer;
      if (answer.kind === 'done') {
        const command = answer.results.at(-1)?.command;
        if (command === 'COMMIT') return { kind: 'recorded' };
        return { kind: 'broken', mayBeCommitted: false, cause: new Error(`COMMIT answered ${command}`) };
      }
      if (answer.unanswered === true) return resolveStep(context, step, answer.error);
      return judge(answer.error);
    },
  };
}

function judge(cause: unknown): StepCompletion {
  const state = sqlStateOf(cause);
  if (cannotCommit(state)) return { kind: 'broken', mayBeCommitted: false, cause };
  switch (state) {
    case LEASE_LOST:
      return { kind: 'lost' };
    case ATTEMPT_ENDED:
      return { kind: 'broken', mayBeCommitted: true, cause };
    default:
      return { kind: 'aborted', cause };
  }
}

/**
 * Sends the entry again, to be told whether it was there: the journal's primary key makes it wait for a COMMIT
 * that is still under way. Rolled back, because an entry must not be committed without the step's writes.
 */
async function resolveStep(
  context: StepTransactionContext,
  step: RecordedStep,
  cause: unknown,
): Promise<StepCompletion> {
  const { leases, holder, probeTimeout } = context;
  const asked = await untilAnswered(probeTimeout, (remainingMs) => {
    const entry = leases.recordStep(holder, step, '', remainingMs).text;
    return commitAlone(context, 'reserved', [entry], remainingMs, ROLLBACK);
  });
  switch (asked.kind) {
    case 'committed':
      return asked.results[0]!.rows[0]!['fresh'] === true ? { kind: 'aborted', cause } : { kind: 'recorded' };
    case 'refused':
      return judge(asked.error);
    default:
      // Whatever became of it: a rerun finds the entry if it was committed, and the writes with it.
      return { kind: 'aborted', cause };
  }
}
