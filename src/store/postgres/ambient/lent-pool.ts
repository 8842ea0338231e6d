/** A joined pool over the one connection of the embedded database, which another pool has. */

import { Pool } from 'pg';
import type { PoolClient } from 'pg';
import type { Ambient } from './ambient.ts';
import { joinPool } from './join-pool.ts';

type Connected = Parameters<Pool['connect']>[0];

/** Makes a pool that lends what `open` gives it, which opens the database where that has not happened yet. */
export function lentPool(open: () => Promise<Pool>, ambient: Ambient): Pool {
  const pool = new Pool({ max: 1 });
  pool.on('error', () => {});
  const connect = (callback?: Connected): Promise<PoolClient> | void => {
    const lending = open().then((opened) => opened.connect());
    if (callback === undefined) return lending;
    lending.then(
      (client) => callback(undefined, client, (error) => client.release(error as Error | undefined)),
      (error: Error) => callback(error, undefined, () => {}),
    );
  };
  return joinPool(pool, ambient, { connect: connect as Pool['connect'], clientsJoin: false });
}
