/** Transactions that are one message, and that are sent again until they are answered. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { QueryResult, QueryResultRow } from 'pg';
import type { Origin } from '../port.ts';
import type { FunctionCall } from './lease-statements.ts';
import type { Pools } from './pools.ts';
import type { Preparing } from './prepared.ts';
import type { Answer, Session } from './session.ts';
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

type Which = 'attempts' | 'reserved' | 'either';

/**
 * Sends the statements in a transaction of their own, and commits it. Pinned to READ COMMITTED like every
 * other, because at a higher level a compare-and-set that loses would fail instead of finding nothing.
 */
export async function commitAlone(
  context: OwnTransactionContext,
  which: Which,
  statements: readonly string[],
  timeoutMs: number,
  end: string = COMMIT,
): Promise<Committed> {
  const committed = await ask(context, which, (session) =>
    session.send([BEGIN, ...statements, end], timeoutMs),
  );
  if (committed.kind !== 'committed') return committed;
  return { ...committed, results: committed.results.slice(1, -1) };
}

/**
 * Calls a function that is atomic by itself: as a prepared statement first, in whatever isolation the session
 * has. What that refuses, be it a pooler that cannot keep prepared statements, a session that is read only or
 * an isolation that cannot have it, is sent once more in a transaction of its own.
 */
export async function callAlone(
  context: OwnTransactionContext,
  which: Which,
  call: FunctionCall,
  timeoutMs: number,
): Promise<Committed> {
  const { preparing } = context;
  if (preparing.possible) {
    const called = await ask(context, which, (session) =>
      session.run(call.statement, call.values, timeoutMs),
    );
    if (called.kind !== 'refused' || isOwnRefusal(called.error)) return called;
    preparing.noteRefusal(called.error);
  }
  return commitAlone(context, which, [call.text], timeoutMs);
}

/** Asks on a connection of its own, and tells a refusal from an answer that did not come. */
async function ask(
  { pools, claimTimeout }: OwnTransactionContext,
  which: Which,
  question: (session: Session) => Promise<Answer>,
): Promise<Committed> {
  const session = await pools.acquire(which).catch((error: unknown) => ({ error }));
  if ('error' in session) return { kind: 'unsent', error: session.error };
  try {
    const askedMs = performance.now();
    const answer = await question(session);
    if (answer.kind === 'done') {
      return {
        kind: 'committed',
        results: answer.results,
        origin: session.origin,
        askedMs,
        repeated: false,
      };
    }
    const { error } = answer;
    if (isRefusal(error)) {
      await session.rollBack(claimTimeout);
      return { kind: 'refused', error };
    }
    session.destroy(new Error('a write was not answered'));
    return { kind: 'unanswered', error };
  } finally {
    pools.release(session);
  }
}

/** Whether the statement itself has raised the error: then another try gets it again. */
function isOwnRefusal(error: unknown): boolean {
  return sqlStateOf(error)?.startsWith('GI') === true;
}

/**
 * Sends what may safely arrive twice, until it is answered or the time is up. A refusal ends it only where it is
 * one of our own: a full disk or a restart may be over in a moment.
 */
export async function untilAnswered(
  totalMs: number,
  tryOnce: (remainingMs: number) => Promise<Committed>,
): Promise<Committed> {
  const deadline = performance.now() + totalMs;
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
