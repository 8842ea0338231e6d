/**
 * The connections: a pool for attempts, and a small one kept apart for probes and upkeep, because an attempt
 * whose COMMIT was lost must never wait for a connection behind the attempts that wait for Postgres.
 */

import type { PoolClient } from 'pg';
import { Pool } from 'pg';
import type { PoolConfig } from 'pg';
import { StoreUnavailableError } from '../port.ts';
import type { Origin } from '../port.ts';
import type { Ambient } from './ambient/ambient.ts';
import { relayEvents } from './ambient/relay-events.ts';
import { Session, cut } from './session.ts';

export interface PoolSettings {
  readonly poolSize: number;
  readonly reservedPoolSize: number;
  readonly poolQueueSize: number;
  readonly acquireTimeout: number;
  readonly claimTimeout: number;
}

/**
 * Where the connections come from. A pool of the caller's says how to connect, and is left to the caller: were
 * attempts to share it with what resolvers query elsewhere, those who hold attempts would wait for connections
 * that only the end of an attempt gives free. Where there can be but a single connection, all share it.
 */
export type ConnectionSource =
  | { readonly pool: Pool; readonly single: boolean }
  | { readonly config: PoolConfig; readonly single: false };

/** Says which database a connection reaches, or refuses it by throwing; runs once for each connection. */
export type InspectConnection = (client: PoolClient) => Promise<Origin>;

export class Pools {
  readonly #attempts: Pool;
  readonly #reserved: Pool;
  readonly #owned: Pool[];
  /** Makes a pool for what keeps a connection to itself; `undefined` where there is but one. */
  readonly #makeApart: (() => Pool) | undefined;
  #apart: Pool | undefined;
  readonly #settings: PoolSettings;
  readonly #ambient: Ambient;
  readonly #inspect: InspectConnection;
  readonly #origins = new WeakMap<PoolClient, Origin>();
  readonly #busy = new Set<Session>();
  #closed = false;

  constructor(
    source: ConnectionSource,
    settings: PoolSettings,
    ambient: Ambient,
    inspect: InspectConnection,
  ) {
    this.#ambient = ambient;
    this.#settings = settings;
    this.#inspect = inspect;
    if (source.single) {
      this.#attempts = source.pool;
      this.#reserved = source.pool;
      this.#owned = [];
      this.#makeApart = undefined;
    } else {
      const config = configOf(source, settings);
      this.#attempts = this.#own(config);
      this.#reserved = this.#own({ ...config, max: settings.reservedPoolSize, min: 0 });
      this.#owned = [this.#attempts, this.#reserved];
      this.#makeApart = () => this.#own({ ...config, max: 1, min: 0 });
      if ('pool' in source) for (const pool of this.#owned) relayEvents(pool, source.pool, EVENTS);
    }
  }

  /**
   * Checks a connection out. `either`: one for attempts where nobody has to be waited for, else a reserved one.
   *
   * @throws StoreUnavailableError
   */
  async acquire(which: 'attempts' | 'reserved' | 'either'): Promise<Session> {
    const attempts =
      which === 'attempts' || (which === 'either' && freeIn(this.#attempts) > this.#attempts.waitingCount);
    const pool = attempts ? this.#attempts : this.#reserved;
    if (this.#closed) throw new StoreUnavailableError('the store is closed');
    // Bounded, because a queue that only grows answers everybody too late.
    if (pool.waitingCount >= freeIn(pool) + this.#settings.poolQueueSize) {
      throw new StoreUnavailableError('too many calls wait for a connection');
    }
    const client = await this.#connect(pool);
    const origin = this.#origins.get(client) ?? (await this.#admit(client));
    // Closed while this one waited: nobody would end its session, and its call would go on in a closed store.
    if (this.#closed) {
      client.release();
      throw new StoreUnavailableError('the store is closed');
    }
    const session = new Session(client, origin);
    // Whoever lent the pool has left a transaction open: what commits by itself would not commit there.
    if (session.inTransaction) {
      session.destroy(new Error('a transaction was open'));
      session.release();
      throw new StoreUnavailableError('the pool lent a connection with an open transaction');
    }
    this.#busy.add(session);
    return session;
  }

  /** Lends a connection that nobody has inspected: the one who installs the schema needs it. */
  async withUninspected<T>(timeoutMs: number, work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#connect(this.#reserved);
    let lost = false;
    const onLost = (): void => {
      lost = true;
    };
    client.on('error', onLost);
    // A server that says no more must not keep whoever starts from failing, nor whoever stops from ending.
    const deadline = setTimeout(() => cut(client), timeoutMs);
    try {
      return await work(client);
    } finally {
      clearTimeout(deadline);
      client.off('error', onLost);
      client.release(lost);
    }
  }

  /**
   * Lends a connection that is kept for as long as it is needed, apart from all others; one at a time. `undefined`
   * where there can be but a single connection.
   *
   * @throws StoreUnavailableError
   */
  async apart(): Promise<PoolClient | undefined> {
    if (this.#closed) throw new StoreUnavailableError('the store is closed');
    if (this.#makeApart === undefined) return undefined;
    if (this.#apart === undefined) this.#owned.push((this.#apart = this.#makeApart()));
    return this.#connect(this.#apart);
  }

  release(session: Session): void {
    this.#busy.delete(session);
    session.release();
  }

  /** Rolls back in the background and gives the connection back. */
  discard(session: Session): void {
    this.#busy.delete(session);
    session.releaseInBackground(this.#settings.claimTimeout);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const session of this.#busy) session.destroy(new Error('the store was closed'));
    await Promise.all(this.#owned.map((pool) => pool.end()));
  }

  /** By callback: a promise more for each of these steps is what tracking attempts costs most. */
  #connect(pool: Pool): Promise<PoolClient> {
    const { acquireTimeout } = this.#settings;
    return new Promise((resolve, reject) => {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        reject(new StoreUnavailableError(`no connection within ${acquireTimeout} ms`));
      }, acquireTimeout);
      const connected = (error: Error | undefined, client: PoolClient | undefined): void => {
        clearTimeout(timer);
        if (client === undefined)
          reject(new StoreUnavailableError('no connection to Postgres', { cause: error }));
        // A pool of the caller's may have no timeout of its own: what comes too late goes back unused.
        else if (late) client.release();
        else resolve(client);
      };
      // Outside: the pool may be one that joins, and a call may be guarded inside another's attempt.
      this.#ambient.leave(() => pool.connect(connected));
    });
  }

  async #admit(client: PoolClient): Promise<Origin> {
    let lost = false;
    const onLost = (): void => {
      lost = true;
    };
    client.on('error', onLost);
    const deadline = setTimeout(() => cut(client), this.#settings.claimTimeout);
    try {
      const origin = await this.#inspect(client);
      if (lost) throw new Error('the connection was lost');
      this.#origins.set(client, origin);
      client.off('error', onLost);
      return origin;
    } catch (error) {
      client.release(true);
      throw new StoreUnavailableError('the connection was refused', { cause: error });
    } finally {
      clearTimeout(deadline);
    }
  }

  #own(config: PoolConfig): Pool {
    const pool = new Pool({
      keepAlive: true,
      connectionTimeoutMillis: this.#settings.acquireTimeout,
      ...config,
    });
    // An idle connection that breaks is the pool's to replace; unheard, its error would end the process.
    pool.on('error', () => {});
    return pool;
  }
}

function configOf(
  source: Exclude<ConnectionSource, { readonly single: true }>,
  { poolSize }: PoolSettings,
): PoolConfig & { readonly max: number } {
  if ('config' in source) return { ...source.config, max: source.config.max ?? poolSize };
  const { options } = source.pool;
  // Spread alone would lose the password: pg keeps it out of what can be listed.
  return { ...options, password: options.password, max: options.max! } as PoolConfig & { max: number };
}

/** What the caller does with every connection of its pool is done with those of the attempts as well. */
const EVENTS = ['connect', 'acquire', 'release', 'remove'] as const;

/** Those who ask in the same turn count as waiting, although there is a connection for them. */
function freeIn(pool: Pool): number {
  return pool.idleCount + Math.max(0, pool.options.max! - pool.totalCount);
}
