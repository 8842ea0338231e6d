/** Which attempt's transaction the running code belongs to, however deep it was called. */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { JoinedTransaction } from './joined-transaction.ts';

export class Ambient {
  #storage: AsyncLocalStorage<JoinedTransaction | undefined> | undefined;

  /** Begins to keep track. Before, an attempt costs nothing here: nobody has a pool that could join it. */
  observe(): void {
    this.#storage ??= new AsyncLocalStorage();
  }

  /** The transaction that joined pools query through here; `undefined` outside attempts. */
  get current(): JoinedTransaction | undefined {
    return this.#storage?.getStore();
  }

  /** Runs work inside the transaction. */
  enter<T>(transaction: JoinedTransaction, work: () => T): T {
    return this.#storage === undefined ? work() : this.#storage.run(transaction, work);
  }

  /** Runs work as if no attempt were under way. */
  leave<T>(work: () => T): T {
    return this.#storage?.getStore() === undefined ? work() : this.#storage.run(undefined, work);
  }
}
