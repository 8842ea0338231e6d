/** One transaction on one session, from its claim to its end. */

import type { Attempt, NewRecord } from '../port.ts';
import { judge, reasonOf, valueOf } from './outcome.ts';
import type { OutcomeContext } from './outcome.ts';
import type { Pools } from './pools.ts';
import { FAILED_TRANSACTION, isCausedByPostgres, isRefusal, sqlStateOf } from './sqlstate.ts';
import { BEGIN, COMMIT, MARKER, ROLLBACK, restoreSettings } from './statements.ts';
import type { ClaimSettings, Statement } from './statements.ts';
import { revocableTransaction } from './transaction.ts';

export interface AttemptContext extends OutcomeContext {
  readonly pools: Pools;
  readonly claimSettings: ClaimSettings;
  readonly commitTimeout: number;
  readonly lockTimeout: number;
  readonly transactionTimeout: number;
  readonly completeStatement: (token: string, record: NewRecord) => Statement;
}

export function openAttempt(context: AttemptContext): Attempt {
  const { pools, session, token } = context;
  const handle = revocableTransaction(session);
  // Bounds the attempt even where the resolver never settles and the server has no transaction timeout.
  const timer = setTimeout(
    () => session.destroy(new Error(`the transaction lasted longer than ${context.transactionTimeout} ms`)),
    context.transactionTimeout,
  );

  async function end<T>(work: () => Promise<T>): Promise<T> {
    await handle.revoke();
    clearTimeout(timer);
    try {
      return await work();
    } finally {
      pools.release(session);
    }
  }

  async function rollBack(): Promise<'rolled-back' | 'ended-underneath'> {
    // The marker tells whether there still is something to roll back. A failed transaction answers nothing
    // but ROLLBACK, and is therefore still the one that the claim began.
    const statements = session.failed ? [ROLLBACK] : [MARKER, ROLLBACK];
    const answers = await session.send(statements, context.claimTimeout);
    if (answers.at(-1)?.status === 'rejected') session.destroy(new Error('rollback failed'));
    const marker = answers.length === 2 ? valueOf(answers[0]) : undefined;
    return marker !== undefined && marker.rows[0]?.['attempt'] !== token ? 'ended-underneath' : 'rolled-back';
  }

  function restore(): Statement {
    return restoreSettings(context.claimSettings, context.transactionTimeout, context.lockTimeout);
  }

  return {
    tx: handle.tx,
    died: session.died,
    wasFailedByStore: (error) =>
      session.dead || (handle.failedByPostgres && session.failed) || isCausedByPostgres(error),

    abandon() {
      clearTimeout(timer);
      void handle.revoke();
      pools.discard(session);
    },

    rollback: () => end(rollBack),

    complete: (record) =>
      end(async () => {
        // The record statement raises where it wrote no row. Were it silent, the COMMIT that travels behind
        // it would publish the effect of the attempt that lost.
        const statements = [restore(), context.completeStatement(token, record), COMMIT];
        const [restored, completed, committed] = await session.send(statements, context.commitTimeout);
        return judge(context, record, { written: [restored, completed], committed });
      }),

    completeInstead: (record) =>
      end(async () => {
        if ((await rollBack()) === 'ended-underneath') {
          return { kind: 'broken', mayBeCommitted: true, cause: new Error('the transaction had been ended') };
        }
        const statements = [
          BEGIN,
          context.claimStatement(record.identity, token),
          context.completeStatement(token, record),
          COMMIT,
        ];
        const answers = await session.send(statements, context.commitTimeout);
        return judge(context, record, { written: answers.slice(0, 3), committed: answers[3] });
      }),

    commitUnrecorded: () =>
      end(async () => {
        const [marker, committed] = await session.send([MARKER, COMMIT], context.commitTimeout);
        if (marker?.status === 'fulfilled' && marker.value.rows[0]?.['attempt'] !== token) {
          return { kind: 'broken', mayBeCommitted: true, cause: new Error('the transaction was ended') };
        }
        const result = valueOf(committed);
        if (result?.command === 'COMMIT') return { kind: 'committed' };
        const cause = reasonOf(marker) ?? reasonOf(committed);
        if (sqlStateOf(cause) === FAILED_TRANSACTION || result !== undefined) {
          if (session.failed) session.destroy(new Error('rollback failed'));
          return { kind: 'broken', mayBeCommitted: false, cause };
        }
        if (isRefusal(cause)) return { kind: 'aborted', cause };
        session.destroy(new Error('COMMIT was not answered'));
        return { kind: 'unknown', cause };
      }),
  };
}
