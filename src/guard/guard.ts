/** The guard: takes one call from its key to its answer. Knows no GraphQL execution, no server and no driver. */

import { randomBytes } from 'node:crypto';
import type { Logger } from '../config/logger.ts';
import type { FieldRule } from '../directive/field-rule.ts';
import { StoreUnavailableError } from '../store/port.ts';
import type { Attempt } from '../store/port.ts';
import type { Answer, PassageContext } from './answer.ts';
import type { GuardedCall } from './call.ts';
import { currentAttempt } from './current.ts';
import type { CurrentAttempt, Means } from './current.ts';
import { runUnleased } from './lease/run-unleased.ts';
import { pass } from './passage.ts';
import { storeUnavailable } from './refusals.ts';
import { currentRehearsal } from './rehearsal.ts';
import { tellAnswer, tellRefusal } from './tell.ts';
import { runUnrecorded } from './transaction/run-unrecorded.ts';

export interface GuardOptions {
  readonly passage: PassageContext;
  readonly logger: Logger;
}

/** What a guarded call does, and who may know of it. */
export interface GuardedRun {
  readonly run: (attempt: CurrentAttempt) => unknown;
  /** Refuses a replay by throwing. */
  readonly authorizeReplay: () => unknown;
  /** Says when the client has gone, where that is known. */
  readonly clientSignal: () => AbortSignal | undefined;
}

export interface Guard {
  /** Executes the call once, or gives its first answer. Throws what the caller is to be told. */
  pass(call: GuardedCall, guarded: GuardedRun): Promise<Answer>;
  /** Runs what was called without a key: without a record, and in TRANSACTION mode still in a transaction. */
  passWithoutKey(
    field: Pick<FieldRule, 'coordinate' | 'mode'>,
    run: (attempt: CurrentAttempt) => unknown,
  ): Promise<unknown>;
  /** Counts a call as under way until it ends: what makes its plan may take time, too. */
  track<T>(calling: Promise<T>): Promise<T>;
  /** Resolves when no call is under way. */
  idle(): Promise<void>;
}

export function createGuard({ passage, logger }: GuardOptions): Guard {
  const underWay = new Set<Promise<unknown>>();

  async function begin(
    circumstances: { readonly coordinate: string; readonly retryAfterMs: number },
    use: 'call' | 'step',
  ): Promise<Attempt> {
    try {
      return await passage.durable.begin(use);
    } catch (error) {
      throw error instanceof StoreUnavailableError ? storeUnavailable(circumstances, error) : error;
    }
  }

  return {
    async pass(call, { run, authorizeReplay, clientSignal }) {
      try {
        const answer = await pass(passage, {
          call,
          authorizeReplay: async () => void (await authorizeReplay()),
          clientSignal,
          resolve: (means) => resolveCall(call, currentAttempt(means, call, passage.attempts), run),
        });
        tellAnswer(call.coordinate, call.identity, answer.outcome);
        return answer;
      } catch (error) {
        tellRefusal(logger, call.coordinate, call.identity, error);
        throw error;
      }
    },

    async passWithoutKey({ coordinate, mode }, run) {
      const circumstances = { coordinate, retryAfterMs: passage.retryAfterMs };
      // Known to nobody: without a client's key, no retry will ask for it.
      const identity = randomBytes(32);
      const resolve = (means: Means): unknown =>
        run(currentAttempt(means, { coordinate, key: undefined, identity }, passage.attempts));
      try {
        const value =
          mode === 'LEASE'
            ? await runUnleased(
                { ...passage, coordinate, identity, begin: () => begin(circumstances, 'step') },
                resolve,
              )
            : await runUnrecorded(circumstances, await begin(circumstances, 'call'), resolve);
        tellAnswer(coordinate, undefined, 'executed');
        return value;
      } catch (error) {
        tellRefusal(logger, coordinate, undefined, error);
        throw error;
      }
    },

    track(calling) {
      underWay.add(calling);
      const over = (): void => void underWay.delete(calling);
      calling.then(over, over);
      return calling;
    },

    async idle() {
      while (underWay.size > 0) await Promise.allSettled(underWay);
    },
  };
}

function resolveCall(call: GuardedCall, attempt: CurrentAttempt, run: GuardedRun['run']): unknown {
  const rehearsal = currentRehearsal();
  return rehearsal === undefined ? run(attempt) : rehearsal.around(call, attempt, () => run(attempt));
}
