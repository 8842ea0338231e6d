/** Where the demo takes place: a database, a Redis where there is one, the provider and the server. After, no trace of them. */

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killAll, startRedis, startServer } from './processes.ts';
import type { Running, RunningServer } from './processes.ts';
import { startDemoProvider } from './provider.ts';
import type { DemoProvider } from './provider.ts';

export interface Stage {
  /** What holds the payments and their records, in words. */
  readonly scenery: string;
  /** The demo's own Redis. */
  readonly redis: Running | undefined;
  /** Why there is none. */
  readonly noRedis: string;
  readonly provider: DemoProvider;
  /** How long a payout is another's after its server was killed. */
  readonly leaseMs: number;
  /** Starts a file of this example as the server, on the same database. */
  startServer(file: string, env?: NodeJS.ProcessEnv): Promise<RunningServer>;
  /** Starts a Redis that has what it says on disk, and so may be a broker; `undefined` where there is none. */
  startBroker(): Promise<Running | undefined>;
  /** Starts the bookkeeper, on the same database as ever. */
  startBookkeeper(brokerUrl: string): Promise<Running>;
  /** Whether somebody wants the demo to end, which ends its processes first. */
  readonly interrupted: boolean;
  /** Ends every process that is left, and deletes the embedded database and the provider's log. */
  clear(): Promise<void>;
}

const { DATABASE_URL, IDEMPOTENCY_DATABASE_URL, REDIS_URL, IDEMPOTENCY_REDIS_URL } = process.env;
const hasDatabase = Boolean(IDEMPOTENCY_DATABASE_URL || DATABASE_URL);
const hasRedis = Boolean(IDEMPOTENCY_REDIS_URL || REDIS_URL);

const leaseMs = 3000;

export async function setStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'payments-demo-'));
  let provider: DemoProvider | undefined;
  const clear = async (): Promise<void> => {
    await killAll();
    provider?.stop();
    await rm(folder, { recursive: true, force: true });
  };
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      interrupted = true;
      void clear().finally(() => process.exit(1));
    });
  }

  provider = await startDemoProvider(join(folder, 'provider.jsonl'));
  const redis = hasRedis ? undefined : await startRedis();
  const database = hasDatabase ? 'the Postgres of DATABASE_URL' : 'the embedded database';
  return {
    scenery: `on ${database}, ${hasRedis || redis !== undefined ? 'with Redis in front' : 'without Redis'}`,
    redis,
    noRedis: hasRedis ? 'the one of REDIS_URL may have other users' : 'no redis-server on the PATH',
    provider,
    leaseMs,
    startServer: (file, env) =>
      startServer(file, {
        BROKER_URL: '',
        // So that another server on this database, and its relay, leave the demo's events alone.
        IDEMPOTENCY_NAMESPACE: 'payments-demo',
        IDEMPOTENCY_EMBEDDED_FOLDER: folder,
        IDEMPOTENCY_LEASE: `PT${leaseMs / 1000}S`,
        PROVIDER_URL: provider.url,
        ...(redis === undefined ? {} : { REDIS_URL: redis.url }),
        ...env,
      }),
    startBroker: async () => {
      const dir = join(folder, 'broker');
      await mkdir(dir, { recursive: true });
      return startRedis({ dir, appendonly: 'yes', appendfsync: 'always' });
    },
    startBookkeeper: (brokerUrl) =>
      startServer('bookkeeper.ts', {
        BROKER_URL: brokerUrl,
        BOOKKEEPER_FOLDER: join(folder, 'bookkeeper'),
        BOOKKEEPER_PORT: '0',
      }),
    get interrupted() {
      return interrupted;
    },
    clear,
  };
}
