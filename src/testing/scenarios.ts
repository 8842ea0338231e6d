/** The scenarios: what a client and a server do to a mutation, and what was seen of it. Judges nothing. */

import { isDeepStrictEqual } from 'node:util';
import type { Client, Reply } from './client.ts';
import { lateOnes, observe, sum } from './effects.ts';
import type { Counting, Counts } from './effects.ts';
import { heldAttempt, killedAtCommit, thrownError } from './faults.ts';
import type { FaultyAttempt } from './faults.ts';

export type ScenarioName =
  | 'retry after success'
  | 'two at once'
  | 'transaction killed at commit'
  | 'thrown error';

export interface Stage {
  readonly client: Client;
  readonly counting: Counting;
  readonly newKey: () => string;
  /** What one call does. */
  readonly expected: Counts;
  /** Whether a copy of a call under way waits for its end. */
  readonly waits: boolean;
}

/** What was seen in one scenario. */
export type Trial = { readonly scenario: ScenarioName } & (
  | { readonly kind: 'skipped'; readonly reason: string }
  /** The mutation failed where no fault was. */
  | { readonly kind: 'failed'; readonly reply: Reply }
  /** It did something else than it had done before, where no fault was. */
  | { readonly kind: 'unsteady'; readonly growth: Counts }
  | Completed
);

export interface Completed {
  readonly kind: 'completed';
  /** What the attempt did that failed; `undefined` where none was made to fail. */
  readonly failed: Counts | undefined;
  /** What all calls did together, and what they should have done. */
  readonly total: Counts;
  readonly expected: Counts;
  /** Effects that came only after the answer. */
  readonly late: readonly string[];
  readonly wroteNothing: boolean;
  /** What answered the call that should have failed, although it didn't. */
  readonly unfailed: boolean;
  /** The answers that should be `first`, or, where that is `undefined`, one of a call that executes. */
  readonly retries: readonly Reply[];
  readonly first: Reply | undefined;
}

/** How long the first of two is held for the answer of the second, which comes at once. */
const ANSWER_TIMEOUT_MS = 5000;

export type Scenario = (stage: Stage) => Promise<Trial>;

/** The scenarios of each mode. What a broken attempt in LEASE mode means is for its policy to say. */
export const scenarios: Readonly<Record<'TRANSACTION' | 'LEASE', readonly Scenario[]>> = {
  TRANSACTION: [
    retryAfterSuccess,
    twoAtOnce,
    failing('transaction killed at commit', killedAtCommit),
    failing('thrown error', thrownError),
  ],
  LEASE: [retryAfterSuccess, twoAtOnce, skipping('transaction killed at commit'), skipping('thrown error')],
};

async function retryAfterSuccess({ client, counting, newKey, expected }: Stage): Promise<Trial> {
  const scenario = 'retry after success';
  const key = newKey();
  const first = await observe(counting, () => client.send(key));
  if (first.answer.errors.length > 0) return { scenario, kind: 'failed', reply: first.answer };
  if (!isDeepStrictEqual(first.settled, expected)) {
    return { scenario, kind: 'unsteady', growth: first.settled };
  }
  const again = await observe(counting, () => client.retry(key));
  return {
    ...uneventful,
    scenario,
    total: sum(first.settled, again.settled),
    expected,
    retries: [again.answer],
    first: first.answer,
  };
}

async function twoAtOnce({ client, counting, newKey, expected, waits }: Stage): Promise<Trial> {
  const scenario = 'two at once';
  const key = newKey();
  const both = await observe(counting, () =>
    sendTwo(client, key, waits ? counting.settleMs : ANSWER_TIMEOUT_MS),
  );
  const [first, second] = both.answer;
  if (first.errors.length > 0) return { scenario, kind: 'failed', reply: first };
  const again = await observe(counting, () => client.retry(key));
  const refused = second.call.answered?.code === 'IDEMPOTENCY_IN_PROGRESS';
  return {
    ...uneventful,
    scenario,
    total: sum(both.settled, again.settled),
    expected,
    retries: refused ? [again.answer] : [second, again.answer],
    first,
  };
}

/** The second is sent while the resolver of the first is about to run, and answered before, where it need not wait. */
async function sendTwo(client: Client, key: string, longestMs: number): Promise<readonly [Reply, Reply]> {
  const { fault, begun, goOn } = heldAttempt(longestMs);
  const first = client.send(key, fault);
  await Promise.race([begun, first]);
  const second = client.send(key).finally(goOn);
  // Both, before anything is thrown: nothing may be under way when the verification is over.
  await Promise.allSettled([first, second]);
  return Promise.all([first, second]);
}

function failing(scenario: ScenarioName, makeFault: () => FaultyAttempt): Scenario {
  return async ({ client, counting, newKey, expected }) => {
    const key = newKey();
    const attempt = makeFault();
    const failed = await observe(counting, () => client.send(key, attempt.fault));
    const { answer } = failed;
    if (!attempt.reached) return { scenario, kind: 'failed', reply: answer };
    if (attempt.failedToFail !== undefined) {
      return { scenario, kind: 'skipped', reason: attempt.failedToFail };
    }
    const again = await observe(counting, () => client.retry(key));
    // The option storeError may remember any error: then the retry is told of it, and nothing happens.
    const remembered = answer.errors.length > 0 && answer.call.answered?.outcome === 'executed';
    return {
      ...uneventful,
      scenario,
      failed: failed.settled,
      total: sum(failed.settled, again.settled),
      expected: remembered ? none(expected) : expected,
      late: lateOnes(failed),
      wroteNothing: attempt.wroteNothing,
      unfailed: answer.errors.length === 0,
      retries: [again.answer],
      first: remembered ? answer : undefined,
    };
  };
}

function skipping(scenario: ScenarioName): Scenario {
  const reason =
    'mode: LEASE has no transaction; what becomes of an attempt that broke off is for `abandoned` to say';
  return async () => ({ scenario, kind: 'skipped', reason });
}

const uneventful = {
  kind: 'completed',
  failed: undefined,
  late: [],
  wroteNothing: false,
  unfailed: false,
} as const;

function none(counts: Counts): Counts {
  return Object.fromEntries(Object.keys(counts).map((name) => [name, 0]));
}
