/** One attempt in a transaction that a library owns, from its claim to its end. */

import type { RunnerTransaction } from '../../../config/transaction-runner.ts';
import type { Attempt, Completion, NewRecord, UnrecordedCompletion } from '../../port.ts';
import type { Ambient } from '../ambient/ambient.ts';
import type { InsertEvents } from '../events/event-statements.ts';
import { cannotCommit } from '../sqlstate.ts';
import type { ClaimSettings } from '../statements.ts';
import { askLibrary } from './library-answer.ts';
import type { LibraryAnswer } from './library-answer.ts';
import { broken, commitRecord, commitUnrecorded, endedEarly, rollBack } from './library-commit.ts';
import type { CommitContext } from './library-commit.ts';
import { isCausedByServer, sqlStateWithin } from './library-errors.ts';
import { libraryHandle } from './library-handle.ts';
import { refusedJoin } from './refused-join.ts';
import { MARKER, asText, restoreThrough } from './runner-statements.ts';

export interface RunnerAttemptContext extends Omit<CommitContext, 'ask'> {
  readonly transaction: RunnerTransaction;
  /** The marker of this attempt's transaction. */
  readonly token: string;
  readonly claimSettings: ClaimSettings;
  readonly ambient: Ambient;
  readonly claimTimeout: number;
  readonly transactionTimeout: number;
  readonly completeStatement: (token: string, record: NewRecord, claim?: ClaimSettings) => string;
  readonly insertEvents: InsertEvents;
  /** Told when a transaction has committed that events were added in. */
  readonly onEvents: () => void;
  /** Commits a record in a transaction of its own. */
  readonly record: (record: NewRecord) => Promise<Completion>;
  /** Told when nobody has to end it any more. */
  readonly onOver: () => void;
}

export interface RunnerAttempt extends Attempt {
  /** Ends it here and now, whoever is at work in it. */
  die(reason: Error): void;
}

type NotReady = Extract<Completion, { readonly kind: 'broken' | 'aborted' }>;

interface Marked {
  readonly attempt: string | null;
}

export function openRunnerAttempt(context: RunnerAttemptContext): RunnerAttempt {
  const { call, transaction, token, commitTimeout } = context;
  const handle = libraryHandle(transaction);
  const refused = refusedJoin();
  const committing: CommitContext = { ...context, ask };
  let death: Error | undefined;
  let over = false;
  let addedEvents = false;
  let reportDeath: (reason: Error) => void = () => {};
  const died = new Promise<Error>((resolve) => {
    reportDeath = resolve;
  });
  // Bounds the attempt even where the resolver never settles and the library has no timeout.
  const timer = setTimeout(
    () => die(new Error(`the transaction lasted longer than ${context.transactionTimeout} ms`)),
    context.transactionTimeout,
  );
  void call.ended.then((end) => die(endedEarly(end)));

  function die(reason: Error): void {
    if (over || death !== undefined) return;
    death = reason;
    call.rollBack();
    reportDeath(reason);
  }

  function ask<Row>(statement: string, timeoutMs: number): Promise<LibraryAnswer<Row>> {
    return askLibrary<Row>(call, transaction, statement, timeoutMs);
  }

  /** The resolver has settled: nothing more of it is let through, and nothing ends the attempt but its guard. */
  async function settle(): Promise<void> {
    await Promise.race([handle.revoke(), died]);
    close();
  }

  function close(): void {
    over = true;
    clearTimeout(timer);
    context.ambient.forget(refused);
    context.onOver();
  }

  async function endedUnderneath(cause: unknown): Promise<NotReady> {
    await rollBack(context);
    return broken(true, cause);
  }

  /** Ends the attempt where it is not to commit. The statement says by the marker whether it still is the claim's. */
  async function prepare<Row extends Marked>(statement: string): Promise<Row | NotReady> {
    await settle();
    if (call.end?.kind === 'resolved') return broken(true, endedEarly(call.end));
    if (death !== undefined) return { kind: 'aborted', cause: death };
    const answer = await ask<Row>(statement, commitTimeout);
    if (answer.kind === 'answered') {
      if (answer.row.attempt === token && handle.unwritten !== undefined) return unwritten(handle.unwritten);
      if (answer.row.attempt === token) return answer.row;
      return endedUnderneath(new Error('the transaction had been ended'));
    }
    // Nothing was sent that could commit. What a library commits in spite of an error may still be there.
    const { error: cause } = answer;
    if ((await rollBack(context)) === 'ended-underneath') return broken(true, cause);
    return cannotCommit(sqlStateWithin(cause)) ? broken(false, cause) : { kind: 'aborted', cause };
  }

  function tell<T extends { readonly kind: string }>(ended: T): T {
    if (addedEvents && ended.kind === 'committed') context.onEvents();
    return ended;
  }

  /** An event is missing that was added: what it tells of must not be committed without it. */
  async function unwritten(cause: unknown): Promise<NotReady> {
    if ((await rollBack(context)) === 'ended-underneath') return broken(true, cause);
    return { kind: 'aborted', cause };
  }

  /** `lost`: the transaction was gone by itself, with its connection or by a timeout of the library's. */
  async function rollBackAsked(): Promise<'rolled-back' | 'ended-underneath' | 'lost'> {
    await settle();
    const answer = death === undefined ? await ask<Marked>(MARKER, context.claimTimeout) : undefined;
    const ended = await rollBack(context);
    if (ended === 'ended-underneath') return ended;
    if (answer?.kind === 'answered') return answer.row.attempt === token ? ended : 'ended-underneath';
    // A failed transaction answers no question, and has nothing that could be committed.
    return answer?.kind === 'refused' ? ended : 'lost';
  }

  return {
    tx: handle.tx,
    client: transaction.client,
    died,
    die,
    // At once: savepoints that the library sets by its own handle are not seen here.
    addEvent(event) {
      handle.write(asText(context.insertEvents(token, [event])));
      addedEvents = true;
    },
    enter: (work) => context.ambient.enter(refused, work),
    wasFailedByStore: (error) => death !== undefined || handle.failedByPostgres || isCausedByServer(error),

    abandon() {
      close();
      call.rollBack();
    },

    async rollback() {
      const ended = await rollBackAsked();
      return ended === 'lost' ? 'rolled-back' : ended;
    },

    async complete(record) {
      const prepared = await prepare(restoreThrough(context.claimSettings, commitTimeout));
      if ('kind' in prepared) return prepared;
      return tell(
        await commitRecord(
          committing,
          record,
          context.completeStatement(token, record, context.claimSettings),
        ),
      );
    },

    async completeInstead(record) {
      switch (await rollBackAsked()) {
        case 'ended-underneath':
          return broken(true, new Error('the transaction had been ended'));
        case 'lost':
          // The resolver would not have come to this error had its transaction lived.
          return { kind: 'aborted', cause: death ?? new Error('the transaction was lost') };
        case 'rolled-back':
          return context.record(record);
      }
    },

    async commitUnrecorded(): Promise<UnrecordedCompletion> {
      const prepared = await prepare<Marked & { readonly xid: string | null }>(MARKER);
      return 'kind' in prepared ? prepared : tell(await commitUnrecorded(committing, prepared.xid));
    },
  };
}
