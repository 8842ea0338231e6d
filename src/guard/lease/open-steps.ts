/** Which steps an attempt has called, and which are still running. */

import type { Logger } from '../../config/logger.ts';
import type { Transaction } from '../../store/port.ts';
import type { Step, StepCall, StepOptions, StepTransactionCall } from './step.ts';

const MAX_NAME_LENGTH = 255;

/** NUL, which Postgres does not take, and half characters: two names that differ in those would share a key. */
// oxlint-disable-next-line no-control-regex -- NUL is what it is about
const UNSTORABLE = /[\u0000\p{Surrogate}]/u;

type RunStep = (name: string, run: (call: StepCall) => unknown, options: StepOptions) => Promise<unknown>;
type RunTransaction = (
  name: string,
  run: (tx: Transaction, call: StepTransactionCall) => unknown,
) => Promise<unknown>;

export interface OpenSteps {
  readonly called: ReadonlySet<string>;
  /** Failures of steps that ran on when another one failed: a resolver that awaits them together has not heard of them. */
  readonly unheard: readonly unknown[];
  stepOf(runStep: RunStep, runTransaction: RunTransaction): Step;
  /** Refuses further steps, and resolves when those under way have ended: with the failure of one of them. */
  close(): Promise<LateFailure | undefined>;
}

/** Of a step that its resolver had not awaited. */
export interface LateFailure {
  readonly reason: unknown;
}

export function openSteps(coordinate: string, logger: Logger): OpenSteps {
  const called = new Set<string>();
  const running = new Set<Promise<unknown>>();
  const overtaken = new WeakSet<Promise<unknown>>();
  const unheard: unknown[] = [];
  let open = true;

  function start(name: string, work: () => Promise<unknown>): Promise<unknown> {
    const started = admit(name).then(work);
    running.add(started);
    void started.then(
      () => running.delete(started),
      (error: unknown) => {
        running.delete(started);
        if (overtaken.has(started)) unheard.push(error);
        for (const other of running) overtaken.add(other);
        // Heard here too: a step that nobody awaits must not end the process.
        if (!open)
          logger.warn(`${coordinate}: a step failed that its resolver had not awaited.`, { cause: error });
      },
    );
    return started;
  }

  async function admit(name: string): Promise<void> {
    if (typeof name !== 'string' || name === '' || name.length > MAX_NAME_LENGTH || UNSTORABLE.test(name)) {
      throw new TypeError(`${coordinate}: a step's name is text of 1 to ${MAX_NAME_LENGTH} characters.`);
    }
    if (!open) {
      throw new Error(
        `${coordinate}: step "${name}" was called after its resolver had settled. Await every step.`,
      );
    }
    // Two steps of one name would share a key and a result.
    if (called.has(name)) {
      throw new Error(
        `${coordinate}: step "${name}" was called twice in one attempt. Give each step a name of its own.`,
      );
    }
    called.add(name);
  }

  return {
    called,
    unheard,
    stepOf(runStep, runTransaction) {
      const step = (name: string, run: (call: StepCall) => unknown, options: StepOptions = {}) =>
        start(name, () => runStep(name, run, options));
      const transaction = (name: string, run: (tx: Transaction, call: StepTransactionCall) => unknown) =>
        start(name, () => runTransaction(name, run));
      return Object.assign(step, { transaction }) as Step;
    },
    async close() {
      open = false;
      const ended = await Promise.allSettled(running);
      return ended.find((end) => end.status === 'rejected');
    },
  };
}
