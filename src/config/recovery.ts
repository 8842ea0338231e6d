/** What somebody is told of an abandoned attempt, and what they may say became of it. */

/** A step that an abandoned attempt has recorded. */
export interface AbandonedStep {
  readonly name: string;
  /** Which attempt recorded it. */
  readonly attempt: number;
  /** `omitted`: it is done, but its result could not be stored, or cannot be read. */
  readonly outcome: 'result' | 'error' | 'omitted';
  /** What it returned, or the error that it threw. */
  readonly value: unknown;
}

/** An attempt that nobody is at work on any more, and of which nobody knows whether its effect happened. */
export interface AbandonedRecord {
  /** Hex of the record's primary key; stands for scope and key, which are not stored. */
  readonly identity: string;
  /** The field, such as `Mutation.payout`, or the name of a `guard()` call. */
  readonly coordinate: string;
  /** Which attempt was the last one, from 1. */
  readonly attempt: number;
  /** Since when, by Postgres's clock. */
  readonly abandonedAt: Date;
  readonly steps: readonly AbandonedStep[];
  /** The key that the step of this name gave to the outside system; `deriveKey` gave the resolver the same. */
  readonly deriveKey: (name: string) => string;
}

/**
 * What became of an abandoned attempt. `completed`: the effect happened, and this is the answer. `not-executed`:
 * nothing happened and nothing will, so a retry executes. `unknown`: the field's policy decides.
 */
export type Recovery =
  | { readonly outcome: 'completed'; readonly result: unknown }
  | { readonly outcome: 'completed'; readonly error: Error }
  | { readonly outcome: 'not-executed' }
  | { readonly outcome: 'unknown' };

/**
 * Looks up outside what became of an attempt. While it runs, it holds the lease: `signal` aborts when that is
 * lost. Throwing means `unknown`.
 */
export type RecoverAttempt = (
  record: AbandonedRecord & { readonly signal: AbortSignal },
) => Recovery | Promise<Recovery>;
