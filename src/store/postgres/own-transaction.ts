/** Transactions that are one message, and that are sent again until they are answered. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { QueryResult, QueryResultRow } from 'pg';
import type { Origin } from '../port.ts';
import type { FunctionCall } from './lease-statements.ts';
import type { Pools } from './pools.ts';
import type { Preparing } from './prepared.ts';
import { isRefusal, sqlStateOf } from './sqlstate.ts';
import { BEGIN, COMMIT } from './statements.ts';

const RETRY_MS = 50;

export interface OwnTransactionContext {
  readonly pools: Pools;
  readonly claimTimeout: number;
  readonly preparing: Preparing;
}

export type Committed =
  | {
      readonly kind: 'committed';
      readonly results: readonly QueryResult<QueryResultRow>[];
      readonly origin: Origin;
      /** By `performance.now()`, when they were sent. */
      readonly askedMs: number;
      /** Whether an earlier try got no answer: what this one found may be that one's doing. */
      readonly repeated: boolean;
    }
  /** The server has refused one of them: nothing was done. */
  | { readonly kind: 'refused'; readonly error: unknown }
  /** Whether it was done is not known; it may yet be. */
  | { readonly kind: 'unanswered'; readonly error: unknown }
  /** There was no connection to send it on. */
  | { readonly kind: 'unsent'; readonly error: unknown };

/**
 * Sends the statements in a transaction of their own, and commits it. Pinned to READ COMMITTED like every
 * other, because at a higher level a compare-and-set that loses would fail instead of finding nothing.
 */
export async function commitAlone(
  { pools, claimTimeout }: OwnTransactionContext,
  which: 'attempts' | 'reserved' | 'either',
  statements: readonly string[],
  timeoutMs: number,
  end: string = COMMIT,
): Promise<Committed> {
  const session = await pools.acquire(which).catch((error: unknown) => ({ error }));
  if ('error' in session) return { kind: 'unsent', error: session.error };
  try {
    const askedMs = performance.now();
    const answer = await session.send([BEGIN, ...statements, end], timeoutMs);
    if (answer.kind === 'done') {
      const { origin } = session;
      return { kind: 'committed', results: answer.results.slice(1, -1), origin, askedMs, repeated: false };
    }
    if (!isRefusal(answer.error)) {
      session.destroy(new Error('a write was not answered'));
      return { kind: 'unanswered', error: answer.error };
    }
    await session.rollBack(claimTimeout);
    return { kind: 'refused', error: answer.error };
  } finally {
    pools.release(session);
  }
}

/**
 * Calls a function that is atomic by itself: as a prepared statement first, in whatever isolation the session
 * has. What that refuses, be it a pooler that cannot keep prepared statements, a session that is read only or
 * an isolation that cannot have it, is sent once more in a transaction of its own.
 */
export async function callAlone(
  context: OwnTransactionContext,
  which: 'attempts' | 'reserved' | 'either',
  call: FunctionCall,
  timeoutMs: number,
): Promise<Committed> {
  const { pools, preparing } = context;
  if (!preparing.possible) return commitAlone(context, which, [call.text], timeoutMs);
  const session = await pools.acquire(which).catch((error: unknown) => ({ error }));
  if ('error' in session) return { kind: 'unsent', error: session.error };
  const askedMs = performance.now();
  const answer = await session.run(call.statement, call.values, timeoutMs);
  if (answer.kind === 'done') {
    pools.release(session);
    return { kind: 'committed', results: answer.results, origin: session.origin, askedMs, repeated: false };
  }
  const { error } = answer;
  const refused = isRefusal(error);
  if (!refused) session.destroy(new Error('a write was not answered'));
  pools.release(session);
  if (!refused) return { kind: 'unanswered', error };
  preparing.noteRefusal(error);
  return isOwnRefusal(error)
    ? { kind: 'refused', error }
    : commitAlone(context, which, [call.text], timeoutMs);
}

/** Whether the statement itself has raised the error: then another try gets it again. */
function isOwnRefusal(error: unknown): boolean {
  return sqlStateOf(error)?.startsWith('GI') === true;
}

/**
 * Sends statements that may safely arrive twice, until they are answered or the time is up. A refusal ends it
 * only where it is one of our own: a full disk or a restart may be over in a moment.
 */
export async function commitUntilAnswered(
  context: OwnTransactionContext,
  statements: readonly string[],
  times: { readonly onceMs: number; readonly totalMs: number },
): Promise<Committed> {
  const deadline = performance.now() + times.totalMs;
  return untilAnswered(deadline, () => commitAlone(context, 'either', statements, times.onceMs));
}

/** Calls a function that may safely be called twice, in the same way. */
export async function callUntilAnswered(
  context: OwnTransactionContext,
  call: FunctionCall,
  times: { readonly onceMs: number; readonly totalMs: number },
): Promise<Committed> {
  const deadline = performance.now() + times.totalMs;
  return untilAnswered(deadline, () => callAlone(context, 'either', call, times.onceMs));
}

/** Tries again until one try is answered, or the deadline, by `performance.now()`, has passed. */
export async function untilAnswered(
  deadline: number,
  tryOnce: (remainingMs: number) => Promise<Committed>,
): Promise<Committed> {
  for (let repeated = false; ;) {
    const committed = await tryOnce(Math.max(1, Math.floor(deadline - performance.now())));
    if (committed.kind === 'committed') return { ...committed, repeated };
    repeated ||= committed.kind === 'unanswered';
    if (committed.kind === 'refused' && isOwnRefusal(committed.error)) return committed;
    const remainingMs = deadline - performance.now();
    if (remainingMs <= 0) return { kind: 'unanswered', error: committed.error };
    await sleep(Math.min(RETRY_MS, remainingMs));
  }
}
