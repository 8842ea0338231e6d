/** Reads from the answers to record and COMMIT how an attempt ended. */

import type { Completion, NewRecord, Sighting } from '../port.ts';
import { completedRecord, sightingOf } from './rows.ts';
import type { ClaimRow, CompleteRow } from './rows.ts';
import type { Answer, Session } from './session.ts';
import {
  ATTEMPT_ENDED,
  FAILED_TRANSACTION,
  IDENTITY_COMPLETED,
  LOCK_TIMEOUT,
  isRefusal,
  sqlStateOf,
} from './sqlstate.ts';
import { BEGIN, ROLLBACK } from './statements.ts';
import type { Statement } from './statements.ts';

export interface OutcomeContext {
  readonly session: Session;
  /** The marker of this attempt's transaction. */
  readonly token: string;
  readonly claimTimeout: number;
  readonly claimStatement: (identity: Buffer, token: string) => Statement;
  /** Finds out what became of a COMMIT that nobody answered. */
  readonly resolveCommit: (record: NewRecord, cause: unknown) => Promise<Completion>;
}

export async function judge(
  context: OutcomeContext,
  record: NewRecord,
  answers: { readonly written: readonly (Answer | undefined)[]; readonly committed: Answer | undefined },
): Promise<Completion> {
  const { session } = context;
  const refused = answers.written.map(reasonOf).find((reason) => reason !== undefined);
  if (refused === undefined) {
    const result = valueOf(answers.committed);
    // A COMMIT of a failed transaction succeeds with the tag ROLLBACK.
    if (result?.command === 'COMMIT') {
      const row = valueOf(answers.written.at(-1))?.rows[0] as unknown as CompleteRow;
      const wrote = valueOf(answers.written[0])?.rows[0]?.['wrote'] !== false;
      return { kind: 'committed', record: completedRecord(record, row), origin: session.origin, wrote };
    }
    if (result !== undefined) {
      return { kind: 'broken', mayBeCommitted: false, cause: new Error(`COMMIT answered ${result.command}`) };
    }
  }

  const cause = refused ?? reasonOf(answers.committed);
  if (!isRefusal(cause)) {
    // No answer. The server may have the messages, or get them later: only the primary key can tell.
    session.destroy(new Error('COMMIT was not answered'));
    return context.resolveCommit(record, cause);
  }
  if (session.failed || answers.committed?.status === 'rejected') {
    // Without pipelining COMMIT was not sent behind the failure, and the transaction is still open.
    const [ended] = await session.send([ROLLBACK], context.claimTimeout);
    if (ended?.status === 'rejected') session.destroy(new Error('rollback failed'));
  }
  switch (sqlStateOf(cause)) {
    case IDENTITY_COMPLETED: {
      const sighting = await look(context, record.identity);
      return sighting === undefined ? { kind: 'aborted', cause } : { kind: 'conflict', sighting };
    }
    case ATTEMPT_ENDED:
      return { kind: 'broken', mayBeCommitted: true, cause };
    case FAILED_TRANSACTION:
      return { kind: 'broken', mayBeCommitted: false, cause };
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
  const statements = [BEGIN, context.claimStatement(identity, context.token), ROLLBACK];
  const [, claimed, ended] = await context.session.send(statements, context.claimTimeout);
  if (ended?.status === 'rejected') context.session.destroy(new Error('rollback failed'));
  const row = valueOf(claimed)?.rows[0] as unknown as ClaimRow | undefined;
  return row === undefined ? undefined : sightingOf(row, context.session.origin);
}

export function valueOf<T>(answer: PromiseSettledResult<T> | undefined): T | undefined {
  return answer?.status === 'fulfilled' ? answer.value : undefined;
}

export function reasonOf(answer: PromiseSettledResult<unknown> | undefined): unknown {
  return answer?.status === 'rejected' ? (answer.reason ?? new Error('unknown failure')) : undefined;
}
