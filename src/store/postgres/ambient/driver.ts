/** The `pg` module for libraries that make their own pools and clients of it. */

import * as pg from 'pg';
import type { Ambient } from './ambient.ts';
import { joinPool } from './join-pool.ts';
import { joinedClientClass } from './joined-client.ts';

/** What a library that takes a driver expects: `pg` itself, with a `Pool` and a `Client` that join. */
export type Driver = typeof pg;

export function joinedDriver(ambient: Ambient): Driver {
  const Pool = class JoinedPool extends pg.Pool {
    constructor(config?: pg.PoolConfig) {
      super(config);
      joinPool(this, ambient);
    }
  };
  const Client = joinedClientClass(pg.Client, ambient);
  const { default: module, ...names } = pg as typeof pg & { readonly default?: object };
  return { ...module, ...names, Pool, Client, default: { ...module, Pool, Client } } as unknown as Driver;
}
