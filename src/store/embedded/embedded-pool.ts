/** The embedded database as a `pg` pool of the caller's own, for those who keep their tables in it too. */

import { resolve } from 'node:path';
import { Pool } from 'pg';
import { openEmbeddedPostgres } from './embedded-postgres.ts';
import type { EmbeddedPostgres } from './embedded-postgres.ts';

export interface EmbeddedPoolOptions {
  /** Where the data is, relative to the working directory; created where it is missing. */
  readonly folder: string;
}

/**
 * Opens the embedded database as a pool, to pass as the option `postgres` and to query like any other.
 *
 * It is one connection: queries and attempts take it in turn, so a resolver of a guarded field that queries
 * the pool instead of its `tx` waits for itself. `pool.end()` also closes the database and unlocks the folder;
 * call it after the servers have stopped.
 *
 * @example
 * ```ts
 * const pool = await embeddedPool({ folder: '.data' });
 * const idempotency = createIdempotency<Context>({ scope: (context) => context.user.id, postgres: pool });
 * ```
 *
 * @throws ConfigurationError when PGlite isn't installed, another process has the folder, or it can't be opened.
 */
export async function embeddedPool({ folder }: EmbeddedPoolOptions): Promise<Pool> {
  return new EmbeddedPool(await openEmbeddedPostgres({ folder: resolve(folder) }));
}

/** Its class tells the store that there is one connection: a pool derived from this one would wait for ever. */
export class EmbeddedPool extends Pool {
  readonly #database: EmbeddedPostgres;

  constructor(database: EmbeddedPostgres) {
    super(database.poolConfig);
    this.#database = database;
    // A connection that breaks while idle is replaced; unheard, its error would end the process.
    this.on('error', () => {});
  }

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | void {
    const ended = this.#end();
    if (callback === undefined) return ended;
    void ended.then(callback);
  }

  async #end(): Promise<void> {
    await super.end();
    await this.#database.close();
  }
}
