/** Runs the resolver under its lease, and completes the record with its outcome. */

import { IdempotencyError } from '../../errors/idempotency-error.ts';
import { periodOf } from '../../outbox/event-id.ts';
import type { HeldLease, Outcome } from '../../store/lease-port.ts';
import { remember } from '../answer.ts';
import type { Answer, PassageContext, Passenger } from '../answer.ts';
import { deriveKey } from '../current.ts';
import { isFinal, saysNothingWasDone } from '../error-choices.ts';
import { outcomeUnknown } from '../refusals.ts';
import { settle } from '../settle.ts';
import { openJournal } from './journal.ts';
import type { Journal } from './journal.ts';
import type { LateFailure } from './open-steps.ts';
import { keepLease, tellLease } from './keep-lease.ts';
import type { Keeper } from './keep-lease.ts';
import { errorToStore, resultToStore } from './outcomes.ts';
import { leaseLost } from './refusals.ts';
import type { Step } from './step.ts';

/** One attempt under way. Its journal is opened with the first step: most resolvers have none. */
class Run {
  readonly context: PassageContext;
  readonly passenger: Passenger;
  readonly lease: HeldLease;
  readonly keeper: Keeper;
  /** By Postgres's clock, when it began. */
  readonly clockMs: number;
  #journal: Journal | undefined;
  #closed = false;

  constructor(
    context: PassageContext,
    passenger: Passenger,
    lease: HeldLease,
    keeper: Keeper,
    clockMs: number,
  ) {
    this.context = context;
    this.passenger = passenger;
    this.lease = lease;
    this.keeper = keeper;
    this.clockMs = clockMs;
    // What earlier attempts have done is asked for in the end, whether this one calls a step or not.
    if (lease.steps.length > 0) this.#journal = this.#openJournal();
  }

  get attempt(): number {
    return this.lease.attempt;
  }

  get step(): Step {
    this.#journal ??= this.#openJournal();
    return this.#journal.step;
  }

  get journal(): Journal | undefined {
    return this.#journal;
  }

  /** Refuses further steps. `undefined` where there are none that could still be running. */
  closeJournal(): Promise<LateFailure | undefined> | undefined {
    this.#closed = true;
    return this.#journal?.close();
  }

  #openJournal(): Journal {
    const { lease, keeper, context, passenger, clockMs } = this;
    const journal = openJournal({
      lease,
      keeper,
      settings: context.attempts,
      retryAfterMs: context.retryAfterMs,
      period: periodOf(clockMs, passenger.call.ttlMs),
      deriveKey: (name) => deriveKey(lease.identity, name),
    });
    // A resolver may have kept its attempt, to call its first step when it has long settled.
    if (this.#closed) void journal.close();
    return journal;
  }
}

/** `clockMs`: by Postgres's clock, when the lease was claimed, or found abandoned. */
export async function runLease(
  context: PassageContext,
  passenger: Passenger,
  lease: HeldLease,
  clockMs: number,
): Promise<Answer> {
  tellLease(lease, lease.attempt === 1 ? 'claimed' : 'taken-over');
  const keeper = keepLease(lease, context.leases);
  const run = new Run(context, passenger, lease, keeper, clockMs);
  try {
    // The process stood still since it asked for the lease: another may have it, and nothing has begun here.
    if (keeper.aborted) return await release(run, leaseLost({ ...passenger.call, ...context }));
    const settled = await settle(() => passenger.resolve(run), keeper.over);
    // What is still running must not begin new effects once the caller has its answer.
    const closed = run.closeJournal();
    if (settled.kind === 'died') throw lost(run, settled.reason);
    const late = closed && (await Promise.race([closed, keeper.over]));
    if (late instanceof Error) throw lost(run, late);
    if (settled.kind === 'threw') return await endWithError(run, settled.error, late);
    return await endWithResult(run, settled.value, late);
  } finally {
    keeper.stop();
  }
}

async function endWithResult(run: Run, value: unknown, late: LateFailure | undefined): Promise<Answer> {
  const { context, passenger, journal } = run;
  if (journal?.broken !== undefined) return endFinal(run, journal.broken);
  const forgotten = forgottenSteps(journal);
  if (forgotten !== undefined) return endUnknown(run, forgotten);
  if (late !== undefined) return endUnknown(run, late.reason);
  const outcome = resultToStore(value, context.attempts, passenger.call.coordinate);
  return complete(run, outcome, { outcome: 'executed', kind: 'result', value });
}

async function endWithError(run: Run, error: unknown, late: LateFailure | undefined): Promise<Answer> {
  const { context, passenger, lease, journal } = run;
  const { coordinate } = passenger.call;
  if (journal?.broken !== undefined) return endFinal(run, journal.broken);
  const forgotten = forgottenSteps(journal);
  // What Postgres caused, or we have said of it, is gone on the next try, whatever the resolver made of it.
  const passing = error instanceof IdempotencyError || lease.isCausedByStore(error);
  if (forgotten !== undefined || passing) return endUnknown(run, forgotten ?? error);
  if (journal?.isFinal(error) === true || isFinal(context.attempts, coordinate, error)) {
    return endFinal(run, error);
  }
  // The resolver did not hear of what failed after it: of two steps side by side the first may have refused,
  // and the second have lost the answer to what it did.
  const nothingWasDone = (reason: unknown): boolean =>
    saysNothingWasDone(context.attempts, coordinate, reason);
  const certain = late === undefined && (journal?.unheard ?? []).every(nothingWasDone);
  if (certain && nothingWasDone(error)) return release(run, error);
  return endUnknown(run, error);
}

/** The outside system may have what an earlier attempt did; this attempt's code knows nothing of it. */
function forgottenSteps(journal: Journal | undefined): Error | undefined {
  const uncalled = journal?.uncalled ?? [];
  if (uncalled.length === 0) return undefined;
  const names = uncalled.map((name) => `"${name}"`).join(', ');
  return new Error(`an earlier attempt has done ${names}, which this one did not call`);
}

async function endFinal(run: Run, error: unknown): Promise<Answer> {
  const outcome = errorToStore(error, run.context.attempts, run.passenger.call.coordinate);
  return complete(run, outcome, { outcome: 'executed', kind: 'error', error });
}

async function complete(run: Run, outcome: Outcome, own: Answer): Promise<Answer> {
  const { context, passenger, lease, keeper } = run;
  // A renewal that comes after the completion would take it for the loss of the lease.
  keeper.stop();
  const completion = await lease.complete(outcome);
  switch (completion.kind) {
    case 'completed':
      tellLease(lease, 'completed');
      remember(context, passenger.call, completion.record, completion.origin);
      return own;
    case 'lost':
      throw lost(run, new Error('another attempt holds the lease'));
    case 'unanswered':
      throw outcomeUnknown({ ...passenger.call, ...context }, completion.cause);
  }
}

/** Nothing was done: a retry may execute, and the client gets the resolver's own error. */
async function release(run: Run, error: unknown): Promise<Answer> {
  const { context, passenger, lease, keeper } = run;
  keeper.stop();
  switch (await lease.release(false)) {
    case 'done':
      tellLease(lease, 'released');
      throw error;
    case 'kept':
      tellLease(lease, 'abandoned', error);
      throw outcomeUnknown({ ...passenger.call, ...context }, error);
    case 'lost':
      throw lost(run, error);
    case 'unanswered':
      // It is true all the same. Where the record stays, the lease runs out, and the field's policy decides.
      throw error;
  }
}

/** Nobody knows what was done. No retry has to wait for the end of the lease to be told so. */
async function endUnknown(run: Run, cause: unknown): Promise<Answer> {
  const { context, passenger, lease, keeper } = run;
  keeper.stop();
  if ((await lease.abandon()) === 'lost') throw lost(run, cause);
  tellLease(lease, 'abandoned', cause);
  throw outcomeUnknown({ ...passenger.call, ...context }, cause);
}

function lost({ context, passenger, lease }: Run, cause: unknown): IdempotencyError {
  tellLease(lease, 'lost', cause);
  return leaseLost({ ...passenger.call, ...context }, cause);
}
