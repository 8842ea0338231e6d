/** What joined clients need of an attempt's transaction. */

import type { QueryConfig } from 'pg';
import type { Result } from '../statement-queue.ts';
import type { Owner } from './turns.ts';

export interface Joinable {
  /** Whether a library owns the transaction: then a client of its own may be in it. */
  readonly ownedByLibrary: boolean;
  /** Whether it takes no more statements. */
  readonly over: boolean;
  /** Whether the owner has begun a transaction that has not ended, or waits to begin one. */
  isOpen(owner: Owner): boolean;
  /** Runs what a client was given: a statement, or a command that begins or ends a transaction. */
  run(owner: Owner, config: QueryConfig): Promise<Result>;
  /** A client is given back. `abandoned`: it is not to be used again, so that nobody misses what it has left open. */
  release(owner: Owner, abandoned: boolean): void;
}
