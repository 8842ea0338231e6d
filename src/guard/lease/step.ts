/** What a resolver in lease mode calls its steps by. */

import type { Outbox } from '../../outbox/outbox.ts';
import type { Transaction } from '../../store/port.ts';

/** What a step is given. */
export interface StepCall {
  /**
   * Key for the outside system: the same in every attempt of this call, another for every step. It equals
   * `deriveKey` of the step's name.
   */
  readonly key: string;
  /** Aborts when the lease is lost, or the step's `timeout` is over. */
  readonly signal: AbortSignal;
  /** Which attempt this is, from 1. */
  readonly attempt: number;
}

/** What a step with a transaction is given beside that. */
export interface StepTransactionCall extends StepCall {
  /** Adds events, which relays publish once the step has committed. */
  readonly outbox: Outbox;
}

export interface StepOptions {
  /** After how many milliseconds the step's `signal` aborts. By default it does so only with the lease. */
  readonly timeout?: number;
  /** Which errors are recorded and thrown again by later attempts, besides `FinalError` and `storeError`. */
  readonly isFinal?: (error: unknown) => boolean;
}

/**
 * Runs a part of the mutation, and journals its result in Postgres. In a later attempt of the same call a step
 * that is done returns what it returned, and its function is not called.
 */
export interface Step {
  /**
   * Runs a step with an effect outside Postgres. Hand `key` to the outside system, so that a step which was
   * interrupted before its result was journaled does nothing twice.
   *
   * An error that the function throws is thrown on, and journaled only if it is final.
   *
   * @throws Error when this attempt has called a step of this name before, or has ended.
   * @throws IdempotencyError LEASE_LOST when the attempt may do nothing any more, OUTCOME_UNKNOWN when the
   * journal could not be written.
   */
  <T>(name: string, run: (call: StepCall) => T | Promise<T>, options?: StepOptions): Promise<T>;

  /**
   * Runs a step that writes to Postgres: its writes, its events and its entry in the journal commit together.
   *
   * @throws IdempotencyError TRANSACTION_ABORTED when Postgres ended the transaction, and as above.
   */
  transaction<T>(
    name: string,
    run: (tx: Transaction, call: StepTransactionCall) => T | Promise<T>,
  ): Promise<T>;
}
