/** The steps of one attempt: runs what is not done yet, returns what is, and journals it. */

import { FinalError } from '../../errors/final-error.ts';
import { IdempotencyError } from '../../errors/idempotency-error.ts';
import { openOutbox } from '../../outbox/outbox.ts';
import type { HeldLease, RecordedStep } from '../../store/lease-port.ts';
import { StoreUnavailableError } from '../../store/port.ts';
import type { Transaction } from '../../store/port.ts';
import type { AttemptSettings } from '../attempt-settings.ts';
import { isFinal } from '../error-choices.ts';
import { outcomeUnknown, transactionAborted, transactionBroken } from '../refusals.ts';
import { settleIn } from '../settle.ts';
import type { Keeper } from './keep-lease.ts';
import { errorToStore, resultToStore } from './outcomes.ts';
import { leaseLost } from './refusals.ts';
import { openSteps } from './open-steps.ts';
import type { LateFailure } from './open-steps.ts';
import { readStep } from './read-step.ts';
import type { Step, StepCall, StepOptions, StepTransactionCall } from './step.ts';
import { timedSignal } from './timed-signal.ts';
import { withOutbox } from './with-outbox.ts';

export interface JournalContext {
  readonly lease: HeldLease;
  readonly keeper: Keeper;
  readonly settings: AttemptSettings;
  readonly retryAfterMs: number;
  /** When the attempt began, for the ids of its events; see `periodOf`. */
  readonly period: string;
  readonly deriveKey: (name: string) => string;
}

export interface Journal {
  readonly step: Step;
  /** The error that every retry must get, after a step whose transaction was ended underneath. */
  readonly broken: IdempotencyError | undefined;
  /** Whether a step has recorded this error as final: then it is the call's as well, if its resolver lets it through. */
  isFinal(error: unknown): boolean;
  /** Names of recorded steps that this attempt has not called. */
  readonly uncalled: readonly string[];
  /** Failures of steps that the resolver may not know of. */
  readonly unheard: readonly unknown[];
  /** Refuses further steps, and resolves when those under way have ended: with the failure of one of them. */
  close(): Promise<LateFailure | undefined>;
}

export function openJournal(context: JournalContext): Journal {
  const { lease, keeper, settings } = context;
  const { coordinate, attempt } = lease;
  const circumstances = { coordinate, retryAfterMs: context.retryAfterMs };
  const recorded = new Map(lease.steps.map((step) => [step.name, step]));
  const finalErrors = new Set<unknown>();
  let broken: IdempotencyError | undefined;

  const steps = openSteps(coordinate, settings.logger);

  function callOf(name: string, timed?: AbortSignal): StepCall {
    return {
      key: context.deriveKey(name),
      attempt,
      // Where there is no timeout, made when it is asked for.
      get signal() {
        return timed ?? keeper.signal;
      },
    };
  }

  async function call(
    name: string,
    run: (call: StepCall) => unknown,
    { timeout }: StepOptions,
  ): Promise<unknown> {
    if (timeout === undefined) return run(callOf(name));
    const { signal, end } = timedSignal(keeper.signal, timeout);
    try {
      return await run(callOf(name, signal));
    } finally {
      end();
    }
  }

  function assertHeld(): void {
    if (keeper.aborted) throw leaseLost(circumstances);
  }

  async function runStep(
    name: string,
    run: (call: StepCall) => unknown,
    options: StepOptions,
  ): Promise<unknown> {
    const done = recorded.get(name);
    if (done !== undefined) return recall(done);
    assertHeld();
    let value: unknown;
    try {
      value = await call(name, run, options);
    } catch (error) {
      if (finalFor(error, options)) await recordError(name, error);
      throw error;
    }
    await record({ name, attempt, ...resultToStore(value, settings, `${coordinate}, step "${name}"`) });
    return value;
  }

  async function runTransaction(
    name: string,
    run: (tx: Transaction, call: StepTransactionCall) => unknown,
  ): Promise<unknown> {
    const done = recorded.get(name);
    if (done !== undefined) return recall(done);
    assertHeld();
    const transaction = await lease.beginStep().catch((error: unknown) => {
      throw error instanceof StoreUnavailableError ? transactionAborted(circumstances, error) : error;
    });
    const { addEvent: write } = transaction;
    const { identity } = lease;
    const { maxEventBytes } = settings;
    const outbox = openOutbox({ identity, period: context.period, step: name, maxEventBytes, write });
    const settled = await settleIn(transaction, (tx) => run(tx, withOutbox(callOf(name), outbox)));
    if (settled.kind !== 'returned') {
      const cause = settled.kind === 'threw' ? settled.error : settled.reason;
      // Asked before the rollback, which leaves nothing to see of it.
      const failedByStore = settled.kind === 'died' || transaction.wasFailedByStore(cause);
      if ((await transaction.rollback()) === 'ended-underneath') throw (broken = brokenBy(cause, true));
      if (failedByStore) throw transactionAborted(circumstances, cause);
      if (finalFor(cause, {})) await recordError(name, cause);
      throw cause;
    }
    const completion = await transaction.commit({
      name,
      attempt,
      ...resultToStore(settled.value, settings, `${coordinate}, step "${name}"`),
    });
    switch (completion.kind) {
      case 'recorded':
        return settled.value;
      case 'lost':
        throw lost();
      case 'aborted':
        throw transactionAborted(circumstances, completion.cause);
      case 'broken': {
        const error = brokenBy(completion.cause, completion.mayBeCommitted);
        if (completion.mayBeCommitted) broken = error;
        throw error;
      }
    }
  }

  function recall(step: RecordedStep): unknown {
    const read = readStep(step);
    switch (read.kind) {
      case 'result':
        return read.value;
      case 'error':
        throw new FinalError(read.error.message, { extensions: read.error.extensions });
      case 'unreadable': {
        // An error of ours: another might be chosen as the answer.
        const { why, cause } = read;
        throw outcomeUnknown(circumstances, new Error(`the result of step "${step.name}" ${why}`, { cause }));
      }
    }
  }

  async function record(step: RecordedStep): Promise<void> {
    switch (await lease.recordStep(step)) {
      case 'done':
        return;
      case 'lost':
        throw lost();
      case 'unanswered':
        throw outcomeUnknown(circumstances, new Error(`step "${step.name}" is done, and not journaled`));
    }
  }

  async function recordError(name: string, error: unknown): Promise<void> {
    await record({ name, attempt, ...errorToStore(error, settings, `${coordinate}, step "${name}"`) });
    finalErrors.add(error);
  }

  /** No renewal has noticed it yet; until one does, other steps would begin new effects. */
  function lost(): IdempotencyError {
    keeper.lose();
    return leaseLost(circumstances);
  }

  function finalFor(error: unknown, options: StepOptions): boolean {
    // Ours are those of a step in this one: gone on the next try, like what Postgres caused.
    if (error instanceof IdempotencyError || lease.isCausedByStore(error)) return false;
    return options.isFinal?.(error) === true || isFinal(settings, coordinate, error);
  }

  function brokenBy(cause: unknown, mayBeCommitted: boolean): IdempotencyError {
    return transactionBroken(coordinate, mayBeCommitted, cause);
  }

  return {
    step: steps.stepOf(runStep, runTransaction),
    get broken() {
      return broken;
    },
    isFinal: (error) => finalErrors.has(error),
    get uncalled() {
      return [...recorded.keys()].filter((name) => !steps.called.has(name));
    },
    unheard: steps.unheard,
    close: () => steps.close(),
  };
}
