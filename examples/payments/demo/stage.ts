/** Where the demo takes place: a database, a Redis where there is one, the server, and no trace of them after. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killAll, startRedis, startServer } from './processes.ts';
import type { Running, RunningServer } from './processes.ts';

export interface Stage {
  /** What holds the payments and their records, in words. */
  readonly scenery: string;
  /** The demo's own Redis. */
  readonly redis: Running | undefined;
  /** Why there is none. */
  readonly noRedis: string;
  /** Starts a file of this example as the server, on the same database. */
  startServer(file: string): Promise<RunningServer>;
  /** Whether somebody wants the demo to end, which ends its processes first. */
  readonly interrupted: boolean;
  /** Ends every process that is left, and deletes the embedded database. */
  clear(): Promise<void>;
}

const { DATABASE_URL, IDEMPOTENCY_DATABASE_URL, REDIS_URL, IDEMPOTENCY_REDIS_URL } = process.env;
const hasDatabase = Boolean(IDEMPOTENCY_DATABASE_URL || DATABASE_URL);
const hasRedis = Boolean(IDEMPOTENCY_REDIS_URL || REDIS_URL);

export async function setStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'payments-demo-'));
  const clear = async (): Promise<void> => {
    await killAll();
    await rm(folder, { recursive: true, force: true });
  };
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      interrupted = true;
      void clear().finally(() => process.exit(1));
    });
  }

  const redis = hasRedis ? undefined : await startRedis();
  const database = hasDatabase ? 'the Postgres of DATABASE_URL' : 'the embedded database';
  return {
    scenery: `on ${database}, ${hasRedis || redis !== undefined ? 'with Redis in front' : 'without Redis'}`,
    redis,
    noRedis: hasRedis ? 'the one of REDIS_URL may have other users' : 'no redis-server on the PATH',
    startServer: (file) =>
      startServer(file, {
        IDEMPOTENCY_EMBEDDED_FOLDER: folder,
        ...(redis === undefined ? {} : { REDIS_URL: redis.url }),
      }),
    get interrupted() {
      return interrupted;
    },
    clear,
  };
}
