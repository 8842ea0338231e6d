/** Starts the transfer service in a process of its own, behind a proxy of its own; needs no test runner. */

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { forgetProcess, removeFolder, temporaryFolder, watchProcess } from '../../support/janitor.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { PostgresProxy } from '../../support/postgres-proxy.ts';
import { deferred, within } from '../../support/signal.ts';
import { counter } from './counter.ts';
import type { Counter } from './counter.ts';
import type { Standing } from './standing.ts';
import type { TransferReady } from './transfer-process.ts';
import type { TransferRun } from './transfer.ts';

export interface TransferChildOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly redisPrefix: string;
  readonly providerUrl: string;
  readonly leaseMs: number;
  /** How many calls can be under way at once, each with a connection. */
  readonly connections: number;
}

export interface TransferChild {
  readonly url: string;
  readonly pid: number;
  /** Names its sessions in Postgres. */
  readonly applicationName: string;
  readonly proxy: PostgresProxy;
  /** The runs of the resolver in this process. */
  runs(): readonly TransferRun[];
  /** Resolves when so many of its calls stand at a place. */
  stands(place: string, count: number): Promise<void>;
  /** Lets a call go on that blocks it. */
  goOn(): void;
  /** Kills it as by kill -9, and resolves when it is dead. */
  kill(): Promise<void>;
  /** Closes the proxy too. */
  close(): Promise<void>;
}

const file = fileURLToPath(new URL('./transfer-process.ts', import.meta.url));
const tsconfig = fileURLToPath(new URL('../../../tsconfig.json', import.meta.url));

export async function startTransferChild(options: TransferChildOptions): Promise<TransferChild> {
  const proxy = await startPostgresProxy({ target: options.databaseUrl });
  const folder = await temporaryFolder('transfers');
  const runsFile = join(folder, 'runs');
  const goOnFile = join(folder, 'go-on');
  const applicationName = basename(folder);
  const child = fork(file, {
    env: {
      ...process.env,
      TSX_TSCONFIG_PATH: tsconfig,
      CHILD_DATABASE_URL: `${proxy.url}?application_name=${applicationName}`,
      CHILD_REDIS_URL: options.redisUrl,
      CHILD_REDIS_PREFIX: options.redisPrefix,
      CHILD_PROVIDER_URL: options.providerUrl,
      CHILD_LEASE_MS: String(options.leaseMs),
      CHILD_CONNECTIONS: String(options.connections),
      CHILD_RUNS: runsFile,
      CHILD_GO_ON: goOnFile,
    },
    execArgv: ['--import', import.meta.resolve('tsx')],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const pid = child.pid!;
  watchProcess(pid);
  const exited = once(child, 'exit').then(() => forgetProcess(pid));
  const errors: Buffer[] = [];
  child.stderr?.on('data', (chunk: Buffer) => errors.push(chunk));
  const { ready, arrivalsAt } = listen(child);
  const { url } = await within(
    Promise.race([
      ready,
      exited.then(() => {
        throw new Error(`the transfer process did not start:\n${Buffer.concat(errors).toString()}`);
      }),
    ]),
    { timeoutMs: 60_000, what: 'the start of the transfer process' },
  );

  async function kill(): Promise<void> {
    child.kill('SIGKILL');
    await exited;
  }

  return {
    url,
    pid,
    applicationName,
    proxy,
    runs: () =>
      existsSync(runsFile)
        ? readFileSync(runsFile, 'utf8')
            .split('\n')
            .filter((line) => line !== '')
            .map((line) => JSON.parse(line) as TransferRun)
        : [],
    stands: (place, count) => arrivalsAt(place).reach(count),
    goOn: () => writeFileSync(goOnFile, ''),
    kill,
    async close() {
      await kill();
      await proxy.close();
      removeFolder(folder);
    },
  };
}

function listen(child: ChildProcess) {
  const ready = deferred<TransferReady>();
  const arrivals = new Map<string, Counter>();
  const arrivalsAt = (place: string): Counter => {
    const counted = arrivals.get(place) ?? counter();
    arrivals.set(place, counted);
    return counted;
  };
  child.on('message', (message: TransferReady | Standing) => {
    if ('url' in message) ready.resolve(message);
    else arrivalsAt(message.at).add();
  });
  return { ready: ready.promise, arrivalsAt };
}
