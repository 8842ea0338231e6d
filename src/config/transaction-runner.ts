/** How a library that must own its transactions lends them to guarded calls. */

/** A transaction that a library has begun, and will end. */
export interface RunnerTransaction<TClient = unknown> {
  /** The library's own handle, which resolvers write through: `idempotency.current(info).client`. */
  readonly client: TClient;
  /**
   * Runs a statement in this transaction. Gives its rows as objects by the names of their columns: an array of
   * them, or an object that has it as `rows`.
   */
  readonly query: (text: string, values: readonly unknown[]) => Promise<unknown>;
}

/**
 * Runs work in a transaction of the library's. It begins one in READ COMMITTED, calls `work` once, awaits it,
 * commits if it resolves, rolls back and rejects if it rejects.
 */
export type TransactionRunner<TClient = unknown> = (
  work: (transaction: RunnerTransaction<TClient>) => Promise<void>,
) => Promise<unknown>;
