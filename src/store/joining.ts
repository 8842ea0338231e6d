/** What of the user's joins the attempts' transactions: pools and drivers, made when somebody asks for them. */

import type { Pool } from 'pg';
import type { Config } from '../config/config.ts';
import { EmbeddedPool } from './embedded/embedded-pool.ts';
import { Ambient } from './postgres/ambient/ambient.ts';
import { joinedDriver } from './postgres/ambient/driver.ts';
import type { Driver } from './postgres/ambient/driver.ts';
import { joinPool } from './postgres/ambient/join-pool.ts';
import { lentPool } from './postgres/ambient/lent-pool.ts';
import { OwnPool } from './postgres/ambient/own-pool.ts';

export interface Joining {
  readonly ambient: Ambient;
  pool(): Pool;
  driver(): Driver;
  join<T extends Pool>(pool: T): T;
  /** Closes what is the library's own. */
  close(): Promise<void>;
}

/** `embedded` opens the embedded database, where that has the records. */
export function createJoining({ postgres, settings }: Config, embedded: () => Promise<Pool>): Joining {
  const ambient = new Ambient();
  let own: Pool | undefined;
  let driver: Driver | undefined;

  function makePool(): Pool {
    switch (postgres.kind) {
      case 'pool':
        return join(postgres.pool);
      case 'config':
        return new OwnPool({ max: settings.poolSize, ...postgres.config }, ambient);
      case 'embedded':
        return lentPool(embedded, ambient);
    }
  }

  function join<T extends Pool>(pool: T): T {
    ambient.observe();
    return joinPool(pool, ambient, { clientsJoin: !(pool instanceof EmbeddedPool) });
  }

  return {
    ambient,
    join,
    pool() {
      ambient.observe();
      return (own ??= makePool());
    },
    driver() {
      ambient.observe();
      return (driver ??= joinedDriver(ambient));
    },
    async close() {
      if (own instanceof OwnPool) await own.close();
    },
  };
}
