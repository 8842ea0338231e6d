/** The side door for tests: runs a user's own mutation under the faults that matter. */

import { randomUUID } from 'node:crypto';
import type { BaseContext } from '@apollo/server';
import { runOnce } from './baseline.ts';
import { createClient } from './client.ts';
import type { Operation } from './client.ts';
import type { Counting, Counts } from './effects.ts';
import { judge } from './judge.ts';
import { scenarios } from './scenarios.ts';
import type { ScenarioName, Trial } from './scenarios.ts';
import { refusedLate } from './sentences.ts';
import { VerificationError } from './verification-error.ts';

export { VerificationError } from './verification-error.ts';
export type { Finding, FindingKind } from './verification-error.ts';
export type { Variables } from './client.ts';
export type { Counts } from './effects.ts';
export type { ScenarioName } from './scenarios.ts';

/** What is verified. */
export interface VerifyOptions<TContext extends BaseContext> extends Operation<TContext> {
  /**
   * Counts what the mutation does, by name: `async () => ({ payments: await count('payments'), emails: outbox.length })`.
   * Nobody else may change it meanwhile. Count what is done, not what a worker does later on behalf of it.
   */
  readonly effects: Counting['effects'];

  /** How many milliseconds effects are waited for after each answer. @defaultValue 100 */
  readonly settleMs?: number;

  /** Makes a key that was never used; for a `keyFormat` that takes no UUID. @defaultValue `randomUUID` */
  readonly newKey?: () => string;

  /**
   * Names of effects at outside services that take a key from `deriveKey`: they may happen in an attempt that
   * fails, if the retry does not repeat them. @defaultValue none
   */
  readonly keyed?: readonly string[];
}

/** What was verified. */
export interface VerificationReport {
  /** The guarded field, such as `Mutation.charge`. */
  readonly field: string;
  readonly mode: 'TRANSACTION' | 'LEASE';
  /** What one call does. */
  readonly effects: Counts;
  /** Effects that came only after the answer. They were neither doubled nor lost. */
  readonly afterAnswer: readonly string[];
  readonly scenarios: readonly ScenarioReport[];
}

export type ScenarioReport = { readonly name: ScenarioName } & (
  | { readonly outcome: 'passed' }
  | { readonly outcome: 'skipped'; readonly reason: string }
);

/**
 * Runs a mutation under the faults that matter, each with a key of its own: a retry after success, two copies at
 * once, a transaction that is killed at its commit, and an error that is thrown when all the work is done. In
 * `mode: LEASE` only the first two. It needs a database that nobody else works in, and takes about a second.
 *
 * Faults are injected into the calls made here only; other calls of the same server go on as they are.
 *
 * @example
 * ```ts
 * await verifyIdempotency({
 *   server,
 *   operation: 'mutation { charge(amountCents: 5) { id } }',
 *   contextValue: { user: 'alice' },
 *   effects: async () => ({ payments: await count('payments') }),
 * });
 * ```
 *
 * @throws VerificationError with a sentence for each effect that was doubled or lost, and where.
 * @throws TypeError when `effects` gives no numbers.
 */
export async function verifyIdempotency<TContext extends BaseContext>(
  options: VerifyOptions<TContext>,
): Promise<VerificationReport> {
  const { effects, settleMs = 100, newKey = randomUUID, keyed = [] } = options;
  const counting = { effects, settleMs };
  const client = createClient(options);
  try {
    const { call, reply, expected, late } = await runOnce(client, counting, newKey());
    const stray = keyed.find((name) => !Object.hasOwn(expected, name));
    if (stray !== undefined) throw new TypeError(`\`keyed\` names ${stray}, which effects() does not count.`);
    const { coordinate: field, rule } = call;
    const trials: Trial[] = [];
    const stage = { client, counting, newKey, expected, waits: rule.inFlight === 'WAIT' };
    for (const scenario of scenarios[rule.mode]) trials.push(await scenario(stage));
    const findings = judge({ field, keyed, late }, trials);
    if (reply.call.lateStatements > 0) {
      const missing = Object.keys(expected).filter((name) => expected[name] === 0);
      throw new VerificationError([refusedLate(field, missing), ...findings]);
    }
    if (findings.length > 0) throw new VerificationError(findings);
    return {
      field,
      mode: rule.mode,
      effects: expected,
      afterAnswer: late,
      scenarios: trials.map(reportOf),
    };
  } finally {
    client.close();
  }
}

function reportOf(trial: Trial): ScenarioReport {
  return trial.kind === 'skipped'
    ? { name: trial.scenario, outcome: 'skipped', reason: trial.reason }
    : { name: trial.scenario, outcome: 'passed' };
}
