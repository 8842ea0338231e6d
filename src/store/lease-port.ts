/**
 * The store in lease mode, as the guard knows it. Whoever implements this promises:
 *
 * - Every write of an attempt carries its fence, and is refused, atomically, once another holds the identity.
 * - At most one outcome per identity is ever recorded until the record expires; it never changes.
 * - What got no answer is sent again until it has one or its time is up: every write may arrive twice.
 * - No call waits for a connection behind a resolver's, but the claim.
 */

import type { CompletedRecord, Fence, RecordOutcome } from '../record/record.ts';
import type { Origin, Sighting, OpenTransaction } from './port.ts';

/** What a claim fixes, for whoever will complete the record. */
export interface LeaseTerms {
  readonly identity: Buffer;
  readonly scopeHash: Buffer;
  readonly coordinate: string;
  readonly fingerprintVersion: number;
  readonly fingerprint: Buffer;
  readonly ttlMs: number;
  readonly tombstoneTtlMs: number;
  readonly leaseMs: number;
}

export interface LeaseClaim extends Sighting {
  /** Where the claim was granted; the record is `undefined` then. */
  readonly lease: HeldLease | undefined;
}

export interface Takeover {
  readonly identity: Buffer;
  /** The fence of the abandoned record that was seen. */
  readonly seen: Fence;
  readonly leaseMs: number;
  /** Whether to execute it as the next attempt, rather than to find out about the last one. */
  readonly rerun: boolean;
}

/** What is kept of a call or a step. */
export interface Outcome {
  readonly outcome: RecordOutcome;
  readonly codecVersion: number;
  /** `undefined` where the result could not be stored. */
  readonly body: Buffer | undefined;
}

/** A step in the journal. */
export interface RecordedStep extends Outcome {
  readonly name: string;
  /** Which attempt recorded it. */
  readonly attempt: number;
}

/** How a write of the holder ended. `unanswered`: it is not known whether it was made; it may yet be. */
export type LeaseWrite = 'done' | 'lost' | 'unanswered';

export type LeaseCompletion =
  | { readonly kind: 'completed'; readonly record: CompletedRecord; readonly origin: Origin }
  | { readonly kind: 'lost' }
  | { readonly kind: 'unanswered'; readonly cause: unknown };

/** How a step in a transaction of its own ended. */
export type StepCompletion =
  | { readonly kind: 'recorded' }
  | { readonly kind: 'lost' }
  /** Its writes were not committed so far; those of a late COMMIT come with the journal's entry. */
  | { readonly kind: 'aborted'; readonly cause: unknown }
  | { readonly kind: 'broken'; readonly mayBeCommitted: boolean; readonly cause: unknown };

/** A transaction that ends with a step's entry in the journal. */
export interface StepTransaction extends OpenTransaction {
  rollback(): Promise<'rolled-back' | 'ended-underneath'>;
  /** Writes the entry and commits, in one round trip. */
  commit(step: RecordedStep): Promise<StepCompletion>;
}

/** The right to execute an identity, for as long as it is renewed. */
export interface HeldLease {
  readonly identity: Buffer;
  readonly coordinate: string;
  readonly attempt: number;
  /** What earlier attempts have recorded. */
  readonly steps: readonly RecordedStep[];
  /** By `performance.now()`: until then nobody else can have taken it over. */
  readonly aliveUntilMs: number;
  /** Resolves with the reason when the store gives it up, because it closes. */
  readonly givenUp: Promise<Error>;
  /** One try, bounded by `timeoutMs`. */
  renew(timeoutMs: number): Promise<LeaseWrite>;
  recordStep(step: RecordedStep): Promise<LeaseWrite>;
  /** @throws StoreUnavailableError */
  beginStep(): Promise<StepTransaction>;
  complete(outcome: Outcome): Promise<LeaseCompletion>;
  /**
   * Ends the claim of which nothing was done: `done`, and a retry executes. `kept`: there were attempts or steps
   * before, and the outcome is unknown. `settled`: somebody has found out that none of them did anything.
   */
  release(settled: boolean): Promise<LeaseWrite | 'kept'>;
  /** Leaves the outcome unknown: the field's policy decides about it at once. */
  abandon(): Promise<LeaseWrite>;
  /** Whether the store itself caused an error: a serialization failure, deadlock, timeout or lost connection. */
  isCausedByStore(error: unknown): boolean;
}

export interface AbandonedQuery {
  /** Of these fields only. */
  readonly coordinates?: readonly string[];
  /** This one only. */
  readonly identity?: Buffer;
  /** Those after this one. */
  readonly after?: Buffer;
  readonly limit: number;
}

export interface AbandonedRow {
  readonly identity: Buffer;
  readonly fence: Fence;
  readonly coordinate: string;
  readonly attempt: number;
  /** Since when, by the store's clock. */
  readonly abandonedMs: number;
  readonly steps: readonly RecordedStep[];
}
