/** What can be said about retries, and the defaults. */

import { sharedRetryBudget } from './retry-budget.ts';
import type { RetryBudget } from './retry-budget.ts';

/** A retry that is about to be waited for. */
export interface Retry {
  /** The number of the attempt to come; the first retry is attempt 2. */
  readonly attempt: number;
  /** How long until then, in milliseconds. */
  readonly delayMs: number;
  /** The mutation's key; absent for a query. */
  readonly key: string | undefined;
  /** What the last attempt failed with, where it failed. */
  readonly cause: unknown;
  /** What the last attempt received, where it received something. */
  readonly received: unknown;
}

export interface RetryOptions {
  /** How often it is sent at most, the first time included. @defaultValue 8 */
  readonly attempts?: number;
  /** The first wait is drawn between 0 and this, in milliseconds; the range doubles each time. @defaultValue 200 */
  readonly baseDelayMs?: number;
  /** The range of waits grows no further than this, in milliseconds. @defaultValue 20000 */
  readonly maxDelayMs?: number;
  /** After this an attempt counts as lost, in milliseconds. @defaultValue 20000 */
  readonly attemptTimeoutMs?: number;
  /** After this nothing more is sent or waited for, in milliseconds; must be below `keyRetentionMs`. @defaultValue 60000 */
  readonly deadlineMs?: number;
  /** How long the server remembers a key: its `ttl`, in milliseconds. @defaultValue 86400000 */
  readonly keyRetentionMs?: number;
  /** How many retries are allowed; `false` for as many as there are attempts. @defaultValue one for the whole process */
  readonly budget?: RetryBudget | false;
  /** Told of each retry before its wait begins. */
  readonly onRetry?: (retry: Retry) => void;
}

export type RetryPolicy = Readonly<Required<Omit<RetryOptions, 'onRetry' | 'budget'>>> & {
  readonly budget: Pick<RetryBudget, 'earn' | 'take'>;
  readonly onRetry: (retry: Retry) => void;
};

const UNLIMITED: RetryPolicy['budget'] = { earn: () => undefined, take: () => true };

/** The longest wait that `setTimeout` takes; anything above fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** @throws RangeError for a setting that makes no sense. */
export function readRetryOptions(options: RetryOptions): RetryPolicy {
  const policy: RetryPolicy = {
    attempts: options.attempts ?? 8,
    baseDelayMs: options.baseDelayMs ?? 200,
    maxDelayMs: options.maxDelayMs ?? 20_000,
    attemptTimeoutMs: options.attemptTimeoutMs ?? 20_000,
    deadlineMs: options.deadlineMs ?? 60_000,
    keyRetentionMs: options.keyRetentionMs ?? 86_400_000,
    budget: options.budget === false ? UNLIMITED : (options.budget ?? sharedRetryBudget),
    onRetry: options.onRetry ?? (() => undefined),
  };
  for (const name of ['attempts', 'attemptTimeoutMs', 'deadlineMs'] as const) within(policy, name, 1);
  for (const name of ['baseDelayMs', 'maxDelayMs'] as const) within(policy, name, 0);
  if (!(policy.deadlineMs < policy.keyRetentionMs)) {
    throw new RangeError('deadlineMs must be below keyRetentionMs: a key that is forgotten executes again.');
  }
  return policy;
}

function within(policy: RetryPolicy, name: keyof RetryPolicy, lowest: number): void {
  const value = policy[name] as number;
  if (value >= lowest && value <= LONGEST_MS) return;
  throw new RangeError(`${name} must be a number from ${lowest} to ${LONGEST_MS}.`);
}
