/**
 * How a transaction ends that a library commits or rolls back. Its connection is not ours to destroy and its word
 * not enough, so that whatever it says, and whatever it does not, is looked up on a connection of the store's own.
 */

import { setTimeout } from 'node:timers/promises';
import { publish } from '../../../telemetry/channels.ts';
import type { Completion, NewRecord, Origin, Sighting, UnrecordedCompletion } from '../../port.ts';
import { completedRecord } from '../rows.ts';
import type { CompleteRow } from '../rows.ts';
import { ATTEMPT_ENDED, IDENTITY_COMPLETED, LOCK_TIMEOUT, cannotCommit } from '../sqlstate.ts';
import { inTime } from './library-answer.ts';
import type { LibraryAnswer } from './library-answer.ts';
import type { LibraryCall, LibraryEnd } from './library-call.ts';
import { sqlStateWithin } from './library-errors.ts';
import { asText } from './runner-statements.ts';

export interface CommitContext {
  readonly call: LibraryCall;
  readonly ask: <Row>(statement: string, timeoutMs: number) => Promise<LibraryAnswer<Row>>;
  readonly origin: Origin;
  readonly commitTimeout: number;
  /** Finds out what became of a COMMIT that nobody answered. */
  readonly resolveCommit: (record: NewRecord, cause: unknown) => Promise<Completion>;
  /** Reads the row on a connection of the store's own; `undefined` when it got no answer. */
  readonly look: (identity: Buffer) => Promise<Sighting | undefined>;
  /** Says what became of a transaction, by its number; `undefined` when it got no answer. */
  readonly statusOf: (xid: string) => Promise<string | undefined>;
}

const STATUS_INTERVAL_MS = 10;

type Broken = Extract<Completion, { readonly kind: 'broken' }>;

/**
 * Makes the library roll back. A runner that resolves all the same has swallowed the error, and may have
 * committed what was written. One that does not settle is not waited for: its session ends by the timeouts that
 * the claim has set, and until then the courtesy lock keeps a retry from executing beside it.
 */
export async function rollBack({
  call,
  commitTimeout,
}: Pick<CommitContext, 'call' | 'commitTimeout'>): Promise<'rolled-back' | 'ended-underneath'> {
  call.rollBack();
  const end = await inTime(call.ended, commitTimeout);
  if (end === undefined) void call.ended.then(tellLateEnd);
  return end?.kind === 'resolved' ? 'ended-underneath' : 'rolled-back';
}

/** Writes the record, and lets the library commit. The statement raises where it wrote no row. */
export async function commitRecord(
  context: CommitContext,
  record: NewRecord,
  statement: string,
): Promise<Completion> {
  const { call, commitTimeout } = context;
  const answer = await context.ask<CompleteRow>(asText(statement), commitTimeout);
  if (answer.kind === 'refused') return judgeRefusal(context, record, answer.error);
  if (answer.kind === 'unanswered') {
    // The record may be written, or be on its way. The library is told to roll back, behind it on the same
    // connection. If it commits all the same, and late, the primary key makes that COMMIT or the retry's fail.
    call.rollBack();
    return resolve(context, record, answer.error);
  }
  call.commit();
  const end = await inTime(call.ended, commitTimeout);
  // An error, or no end in time: the COMMIT may have happened, or may arrive later. The primary key again.
  if (end?.kind !== 'resolved') return resolve(context, record, uncommittedBy(end, commitTimeout));
  return confirm(context, record, answer.row);
}

/**
 * Looks whether it is committed. A COMMIT after a statement that failed in the meantime, because nobody awaited
 * it, rolls back and is answered like any other; a savepoint that was open may have taken the record alone.
 */
async function confirm(context: CommitContext, record: NewRecord, row: CompleteRow): Promise<Completion> {
  const own: Completion = {
    kind: 'committed',
    record: completedRecord(record, row),
    origin: context.origin,
    wrote: row.wrote,
  };
  if (isOwn(await context.look(record.identity), record, row)) return own;
  const resolved = await resolve(context, record, uncommittedBy(context.call.end, context.commitTimeout));
  return resolved.kind === 'conflict' && isOwn(resolved.sighting, record, row) ? own : resolved;
}

async function resolve(context: CommitContext, record: NewRecord, cause: unknown): Promise<Completion> {
  const resolved = await context.resolveCommit(record, cause);
  // The library says that it committed, and the record is not there: what was written may be, without it.
  if (resolved.kind === 'aborted' && context.call.end?.kind === 'resolved') return broken(true, cause);
  return resolved;
}

async function judgeRefusal(context: CommitContext, record: NewRecord, cause: unknown): Promise<Completion> {
  if ((await rollBack(context)) === 'ended-underneath') return broken(true, cause);
  const state = sqlStateWithin(cause);
  if (cannotCommit(state)) return broken(false, cause);
  switch (state) {
    case IDENTITY_COMPLETED: {
      const sighting = await context.look(record.identity);
      return sighting === undefined ? { kind: 'aborted', cause } : { kind: 'conflict', sighting };
    }
    case ATTEMPT_ENDED:
      return broken(true, cause);
    case LOCK_TIMEOUT:
      return { kind: 'busy' };
    case undefined:
    default:
      return { kind: 'aborted', cause };
  }
}

/** Lets the library commit what has no record. `xid`: the transaction's number; null where it has written nothing. */
export async function commitUnrecorded(
  { call, commitTimeout, statusOf }: CommitContext,
  xid: string | null,
): Promise<UnrecordedCompletion> {
  call.commit();
  const end = await inTime(call.ended, commitTimeout);
  if (xid === null && end?.kind === 'resolved') return { kind: 'committed' };
  let status = xid === null ? undefined : await statusOf(xid);
  // A connection that broke is over for Postgres a little later, and a COMMIT may have been on its way.
  const deadline = performance.now() + commitTimeout;
  while (
    xid !== null &&
    status === 'in progress' &&
    end?.kind === 'rejected' &&
    performance.now() < deadline
  ) {
    await setTimeout(STATUS_INTERVAL_MS);
    status = await statusOf(xid);
  }
  if (status === 'committed') return { kind: 'committed' };
  const cause = uncommittedBy(end, commitTimeout);
  if (status !== 'aborted') return { kind: 'unknown', cause };
  return end?.kind === 'resolved' ? broken(false, cause) : { kind: 'aborted', cause };
}

export function broken(mayBeCommitted: boolean, cause: unknown): Broken {
  return { kind: 'broken', mayBeCommitted, cause };
}

/** Why an attempt is over whose runner has settled before it was told how. */
export function endedEarly(end: LibraryEnd): Error {
  const cause = end.kind === 'rejected' ? end.error : undefined;
  return new Error('the runner ended its transaction before the resolver had settled', { cause });
}

/** Whether the row is the one that this attempt's record statement wrote. */
function isOwn(sighting: Sighting | undefined, record: NewRecord, row: CompleteRow): boolean {
  const found = sighting?.record;
  return (
    found?.state === 'completed' &&
    found.completedMs === row.completed_ms &&
    found.fingerprint.equals(record.fingerprint)
  );
}

function uncommittedBy(end: LibraryEnd | undefined, timeoutMs: number): unknown {
  switch (end?.kind) {
    case undefined:
      return new Error(`the runner did not settle within ${timeoutMs} ms`);
    case 'resolved':
      return new Error('the runner resolved, but what it should have committed is not there');
    case 'rejected':
      return end.error;
  }
}

function tellLateEnd(end: LibraryEnd): void {
  if (end.kind === 'rejected') return;
  const error = new Error('a runner that was told to roll back has resolved');
  publish({ type: 'postgres', event: 'broken', error });
}
