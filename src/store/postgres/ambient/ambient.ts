/** Which attempt's transaction the running code belongs to, however deep it was called. */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Joinable } from './joinable.ts';

const OUTSIDE = Symbol('outside');

/** A retry finds the pool there, and is joined. */
export class TooLateToJoin extends Error {
  override readonly name = 'TooLateToJoin';

  constructor() {
    super(
      'The first pool that joins was made inside a guarded call, too late for the call to be joined. Take `idempotency.pool` or `idempotency.driver` where your modules load, as in: export const { pool } = idempotency;',
    );
  }
}

export class Ambient {
  #storage: AsyncLocalStorage<Joinable | typeof OUTSIDE> | undefined;
  /** Those that began before anybody asked to keep track, and are not over. */
  readonly #untracked = new Set<Joinable>();

  /** Begins to keep track. Before, an attempt costs next to nothing here: nobody has a pool that could join it. */
  observe(): void {
    this.#storage ??= new AsyncLocalStorage();
  }

  /**
   * The transaction that joined pools query through here; `undefined` outside attempts.
   *
   * @throws Error while it cannot be told, because an attempt is under way that began untracked: its writes
   * would commit without its record.
   */
  get current(): Joinable | undefined {
    const current = this.#storage?.getStore();
    if (current === OUTSIDE) return undefined;
    if (current === undefined && this.#untracked.size > 0) {
      throw new TooLateToJoin();
    }
    return current;
  }

  /** Runs work inside the transaction. */
  enter<T>(transaction: Joinable, work: () => T): T {
    if (this.#storage !== undefined) return this.#storage.run(transaction, () => begun(work()));
    this.#untracked.add(transaction);
    return work();
  }

  /** The transaction is over. */
  forget(transaction: Joinable): void {
    this.#untracked.delete(transaction);
  }

  /** Runs work as if no attempt were under way. */
  leave<T>(work: () => T): T {
    return this.#storage === undefined ? work() : this.#storage.run(OUTSIDE, () => begun(work()));
  }
}

/**
 * Begins what begins only when somebody asks for its answer, as the queries of most query builders do: whoever
 * asks does so later, and elsewhere. A builder that a resolver returns would write outside its attempt.
 */
function begun<T>(value: T): T {
  const then = (value as { readonly then?: unknown } | null | undefined)?.then;
  if (typeof then !== 'function' || then === Promise.prototype.then) return value;
  return new Promise((resolve) => {
    resolve(value);
  }) as T;
}
