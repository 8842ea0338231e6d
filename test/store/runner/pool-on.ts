/** A pool for a library, until the test is over. */

import pg from 'pg';
import { onTestFinished } from 'vitest';

export function poolOn(connectionString: string, config: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 4, ...config });
  pool.on('error', () => {});
  onTestFinished(async () => pool.end());
  return pool;
}
