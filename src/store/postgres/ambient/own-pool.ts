/** The library's own joined pool: opens with its first use, closes with the stores, and may be used again. */

import { Pool } from 'pg';
import type { PoolClient, PoolConfig } from 'pg';
import type { Ambient } from './ambient.ts';
import { joinPool } from './join-pool.ts';
import { joinedClientClass } from './joined-client.ts';
import type { ClientClass } from './joined-client.ts';
import { relayEvents } from './relay-events.ts';

type Connected = Parameters<Pool['connect']>[0];

const EVENTS = ['connect', 'acquire', 'release', 'remove', 'error'] as const;
const COUNTS = ['totalCount', 'idleCount', 'waitingCount'] as const;

/**
 * To whoever checks, a `pg` pool. Its connections are those of a pool within, which is replaced when it was
 * closed: what a library made of this pool goes on working when the server is stopped and started again.
 */
export class OwnPool extends Pool {
  readonly #within: () => Pool;
  #inner: Pool | undefined;
  #ended = false;

  constructor(config: PoolConfig, ambient: Ambient) {
    super(config);
    // An idle connection that breaks is replaced; unheard, its error would end the process.
    this.on('error', () => {});
    const { Client } = this as unknown as { readonly Client: ClientClass };
    const within = { ...config, Client: joinedClientClass(Client, ambient) };
    this.#within = () => {
      const inner = new Pool(within);
      relayEvents(inner, this, EVENTS);
      return inner;
    };
    for (const count of COUNTS) {
      Object.defineProperty(this, count, { get: () => this.#inner?.[count] ?? 0, configurable: true });
    }
    joinPool(this, ambient, { connect: this.#lend as Pool['connect'], clientsJoin: false });
  }

  /** Ends its connections; those that are lent when they are given back. */
  async close(): Promise<void> {
    const inner = this.#inner;
    this.#inner = undefined;
    if (inner === undefined) return;
    const lent = inner.totalCount > inner.idleCount;
    const ended = inner.end();
    if (!lent) await ended;
  }

  override end(): Promise<void>;
  override end(callback: () => void): void;
  override end(callback?: () => void): Promise<void> | void {
    this.#ended = true;
    // Its own end, too: it has no connections, but refuses from here on as an ended pool does.
    const ended = Promise.all([super.end(), this.close()]).then(() => {});
    if (callback === undefined) return ended;
    void ended.then(callback);
  }

  readonly #lend = (callback?: Connected): Promise<PoolClient> | void => {
    const inner = this.#ended ? this : (this.#inner ??= this.#within());
    const connect = Pool.prototype.connect.bind(inner) as (given?: Connected) => Promise<PoolClient> | void;
    return connect(callback);
  };
}
