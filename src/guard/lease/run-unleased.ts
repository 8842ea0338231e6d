/** Runs a resolver of lease mode that was called without a key: without a lease, a journal or a record. */

import { openOutbox } from '../../outbox/outbox.ts';
import type { Attempt } from '../../store/port.ts';
import type { AttemptSettings } from '../attempt-settings.ts';
import { deriveKey } from '../current.ts';
import { runUnrecorded } from '../transaction/run-unrecorded.ts';
import { openSteps } from './open-steps.ts';
import type { Step, StepCall, StepOptions } from './step.ts';
import { withOutbox } from './with-outbox.ts';

export interface UnleasedContext {
  readonly coordinate: string;
  readonly retryAfterMs: number;
  /** Known to nobody: without a client's key, no retry will ask for the same keys. */
  readonly identity: Buffer;
  readonly attempts: AttemptSettings;
  readonly begin: () => Promise<Attempt>;
}

export async function runUnleased(
  context: UnleasedContext,
  resolve: (means: {
    readonly attempt: number;
    readonly step: Step;
    readonly keeper: { readonly signal: AbortSignal };
  }) => unknown,
): Promise<unknown> {
  const { coordinate, attempts } = context;
  // Never aborted: there is no lease to lose.
  const { signal } = new AbortController();
  const steps = openSteps(coordinate, attempts.logger);
  const callOf = (name: string, { timeout }: StepOptions): StepCall => ({
    key: deriveKey(context.identity, name),
    attempt: 1,
    signal: timeout === undefined ? signal : AbortSignal.timeout(timeout),
  });
  const step = steps.stepOf(
    async (name, run, options) => run(callOf(name, options)),
    async (name, run) =>
      runUnrecorded(context, await context.begin(), ({ tx, period, addEvent: write }) => {
        const { maxEventBytes } = attempts;
        const outbox = openOutbox({ identity: context.identity, period, step: name, maxEventBytes, write });
        return run(tx, withOutbox(callOf(name, {}), outbox));
      }),
  );
  try {
    const value = await resolve({ attempt: 1, step, keeper: { signal } });
    const failure = await steps.close();
    if (failure !== undefined) throw failure.reason;
    if (value instanceof Error) throw value;
    return value;
  } finally {
    await steps.close();
  }
}
