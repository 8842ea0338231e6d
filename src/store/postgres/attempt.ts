/** One transaction on one session, from its claim to its end. */

import type { Attempt, NewRecord, UnrecordedCompletion } from '../port.ts';
import { TooLateToJoin } from './ambient/ambient.ts';
import type { Ambient } from './ambient/ambient.ts';
import type { InsertEvents } from './events/event-statements.ts';
import { judge } from './outcome.ts';
import type { OutcomeContext } from './outcome.ts';
import { cannotCommit, isCausedByPostgres, isRefusal, someCause, sqlStateOf } from './sqlstate.ts';
import { BEGIN, COMMIT, MARKER, ROLLBACK, restoreSettings } from './statements.ts';
import type { ClaimSettings } from './statements.ts';
import type { StepAttempt } from './step-transaction.ts';
import { revocableTransaction } from './transaction.ts';

export interface AttemptContext extends OutcomeContext {
  readonly ambient: Ambient;
  readonly claimSettings: ClaimSettings;
  readonly commitTimeout: number;
  readonly transactionTimeout: number;
  readonly completeStatement: (token: string, record: NewRecord, claim?: ClaimSettings) => string;
  readonly insertEvents: InsertEvents;
  /** Told when a transaction has committed that events were added in. */
  readonly onEvents: () => void;
}

type Broken = Extract<UnrecordedCompletion, { readonly kind: 'broken' }>;

const ENDED: Broken = {
  kind: 'broken',
  mayBeCommitted: true,
  cause: new Error('the transaction had been ended'),
};

export function openAttempt(context: AttemptContext): Attempt & StepAttempt {
  const { pools, session, token, claimSettings } = context;
  const handle = revocableTransaction(session, (events) => context.insertEvents(token, events));
  // Bounds the attempt even where the resolver never settles and the server has no transaction timeout.
  const timer = setTimeout(
    () => session.destroy(new Error(`the transaction lasted longer than ${context.transactionTimeout} ms`)),
    context.transactionTimeout,
  );

  // A resolver that caught the driver's client may commit on it, begin anew and fail there: the session is
  // then in a failed transaction that is not the claim's, and answers no question for the marker.
  const { boundaries } = session;

  function revoke(): Promise<void> {
    context.ambient.forget(handle.joined);
    return handle.revoke();
  }

  async function end<T>(work: () => Promise<T>): Promise<T | Broken> {
    await revoke();
    clearTimeout(timer);
    try {
      if (session.boundaries !== boundaries) {
        await session.rollBack(context.claimTimeout);
        return ENDED;
      }
      return await work();
    } finally {
      pools.release(session);
    }
  }

  async function rollBack(): Promise<'rolled-back' | 'ended-underneath'> {
    // The marker tells whether there still is something to roll back. A failed transaction answers nothing
    // but ROLLBACK.
    const marked = !session.failed;
    const answer = await session.send(marked ? [MARKER, ROLLBACK] : [ROLLBACK], context.claimTimeout);
    if (answer.kind === 'failed') {
      session.destroy(new Error('rollback failed'));
      return 'rolled-back';
    }
    return marked && answer.results[0]?.rows[0]?.['attempt'] !== token ? 'ended-underneath' : 'rolled-back';
  }

  /** Ends what is to commit: not where writes were undone of which somebody was told that they were done. */
  function endWell<T extends { readonly kind: string }>(work: () => Promise<T>): Promise<T | Broken> {
    return end(async (): Promise<T | Broken> => {
      const cause = handle.joined.damage;
      if (cause === undefined) {
        const ended = await work();
        if (handle.addedEvents && (ended.kind === 'committed' || ended.kind === 'done')) context.onEvents();
        return ended;
      }
      const broken: Broken = { kind: 'broken', mayBeCommitted: false, cause };
      return (await rollBack()) === 'ended-underneath' ? ENDED : broken;
    });
  }

  return {
    tx: handle.tx,
    died: session.died,
    addEvent: (event) => handle.addEvent(event),
    enter: (work) => context.ambient.enter(handle.joined, work),
    wasFailedByStore: (error) =>
      session.dead ||
      (handle.failedByPostgres && session.failed) ||
      isCausedByPostgres(error) ||
      someCause(error, (cause) => cause instanceof TooLateToJoin),

    abandon() {
      clearTimeout(timer);
      void revoke();
      pools.discard(session);
    },

    async rollback() {
      const ended = await end(rollBack);
      return typeof ended === 'string' ? ended : 'ended-underneath';
    },

    complete: (record) =>
      endWell(async () => {
        // The record statement raises where it wrote no row. Were it silent, the COMMIT that travels with it
        // would publish the effect of the attempt that lost.
        const statements = [
          restoreSettings(claimSettings, context.commitTimeout),
          ...handle.heldEvents(),
          context.completeStatement(token, record, claimSettings),
          COMMIT,
        ];
        return judge(context, record, await session.send(statements, context.commitTimeout));
      }),

    completeInstead: (record) =>
      end(async () => {
        if ((await rollBack()) === 'ended-underneath') {
          return ENDED;
        }
        const statements = [
          BEGIN,
          context.claimStatement(record.identity, token),
          context.completeStatement(token, record, claimSettings),
          COMMIT,
        ];
        return judge(context, record, await session.send(statements, context.commitTimeout));
      }),

    commitWith: (statement) =>
      endWell(async () => {
        const statements = [
          restoreSettings(claimSettings, context.commitTimeout),
          ...handle.heldEvents(),
          statement(token),
          COMMIT,
        ];
        const answer = await session.send(statements, context.commitTimeout);
        if (answer.kind === 'done') return answer;
        const unanswered = !isRefusal(answer.error);
        if (unanswered) session.destroy(new Error('COMMIT was not answered'));
        else await session.rollBack(context.claimTimeout);
        return { ...answer, unanswered };
      }),

    commitUnrecorded: () =>
      endWell(async (): Promise<UnrecordedCompletion> => {
        const events = handle.heldEvents();
        const restored = events.length > 0 ? [restoreSettings(claimSettings, context.commitTimeout)] : [];
        const statements = [...restored, ...events, MARKER, COMMIT];
        const answer = await session.send(statements, context.commitTimeout);
        if (answer.kind === 'done') {
          const [marker, committed] = answer.results.slice(-2);
          if (marker?.rows[0]?.['attempt'] === token && committed?.command === 'COMMIT') {
            return { kind: 'committed' };
          }
          return ENDED;
        }
        const { error: cause } = answer;
        if (!isRefusal(cause)) {
          session.destroy(new Error('COMMIT was not answered'));
          return { kind: 'unknown', cause };
        }
        await session.rollBack(context.claimTimeout);
        return cannotCommit(sqlStateOf(cause))
          ? { kind: 'broken', mayBeCommitted: false, cause }
          : { kind: 'aborted', cause };
      }),
  };
}
