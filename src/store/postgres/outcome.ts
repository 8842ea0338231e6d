/** Reads from the answer to record and COMMIT how an attempt ended. */

import type { Completion, NewRecord, Sighting } from '../port.ts';
import type { Pools } from './pools.ts';
import { completedRecord, sightingOf } from './rows.ts';
import type { ClaimRow, CompleteRow } from './rows.ts';
import type { Answer, Session } from './session.ts';
import {
  ATTEMPT_ENDED,
  IDENTITY_COMPLETED,
  LOCK_TIMEOUT,
  cannotCommit,
  isRefusal,
  sqlStateOf,
} from './sqlstate.ts';
import { BEGIN, ROLLBACK } from './statements.ts';

export interface OutcomeContext {
  readonly pools: Pools;
  readonly session: Session;
  /** The marker of this attempt's transaction. */
  readonly token: string;
  readonly claimTimeout: number;
  readonly claimStatement: (identity: Buffer, token: string) => string;
  /** Finds out what became of a COMMIT that nobody answered. */
  readonly resolveCommit: (record: NewRecord, cause: unknown) => Promise<Completion>;
}

/** Judges the answer to statements of which the last two are the record statement and COMMIT. */
export async function judge(context: OutcomeContext, record: NewRecord, answer: Answer): Promise<Completion> {
  const { session } = context;
  if (answer.kind === 'done') {
    const committed = answer.results.at(-1);
    // A COMMIT of a failed transaction succeeds with the tag ROLLBACK.
    if (committed?.command !== 'COMMIT') {
      return {
        kind: 'broken',
        mayBeCommitted: false,
        cause: new Error(`COMMIT answered ${committed?.command}`),
      };
    }
    const row = answer.results.at(-2)?.rows[0] as unknown as CompleteRow;
    return {
      kind: 'committed',
      record: completedRecord(record, row),
      origin: session.origin,
      wrote: row.wrote,
    };
  }

  const { error: cause } = answer;
  if (!isRefusal(cause)) {
    // No answer. The server may have the message, or get it later: only the primary key can tell.
    session.destroy(new Error('COMMIT was not answered'));
    // Given back before the probe: it would keep a dead connection's place, which the probe itself may need.
    session.release();
    return context.resolveCommit(record, cause);
  }
  await session.rollBack(context.claimTimeout);
  const state = sqlStateOf(cause);
  if (cannotCommit(state)) return { kind: 'broken', mayBeCommitted: false, cause };
  switch (state) {
    case IDENTITY_COMPLETED: {
      const sighting = await look(context, record.identity);
      return sighting === undefined ? { kind: 'aborted', cause } : { kind: 'conflict', sighting };
    }
    case ATTEMPT_ENDED:
      return { kind: 'broken', mayBeCommitted: true, cause };
    case LOCK_TIMEOUT:
      return { kind: 'busy' };
    default:
      return { kind: 'aborted', cause };
  }
}

/** Reads the row in a transaction of its own, which it rolls back; `undefined` when it got no answer. */
export async function look(
  context: Omit<OutcomeContext, 'resolveCommit'>,
  identity: Buffer,
): Promise<Sighting | undefined> {
  const { session } = context;
  const answer = await session.send(
    [BEGIN, context.claimStatement(identity, context.token), ROLLBACK],
    context.claimTimeout,
  );
  await session.rollBack(context.claimTimeout);
  if (answer.kind === 'failed') return undefined;
  return sightingOf(answer.results[1]!.rows[0] as unknown as ClaimRow, session.origin);
}
