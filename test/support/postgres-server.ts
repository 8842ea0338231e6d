/** A private Postgres for tests that stop, kill, replicate or fail over one. */

import { execFile } from 'node:child_process';
import { chownSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';
import { removeFolder, temporaryFolder } from './janitor.ts';
import { type PostgresBinaries, postgresBinaries } from './postgres-binaries.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';
import { eventually } from './signal.ts';

/** Options of `startPostgres`. */
export interface PostgresOptions {
  /** Settings as postgresql.conf names them. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A Postgres server of the test's own, with the superuser in its URL. */
export interface PostgresServer {
  readonly url: string;
  readonly port: number;
  /** Ends it; connections are closed. `immediate` is a crash from the point of view of its data. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Ends the postmaster with SIGKILL; its backends notice and go. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data; `settings` replace the earlier ones of the same name. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>;
  /** Makes a streaming standby of it, restarting it once on the way. */
  startStandby(options?: PostgresOptions): Promise<PostgresServer>;
  /** Ends it for good and deletes its data. */
  remove(): Promise<void>;
}

const runFile = promisify(execFile);

// No crash of the machine is part of any test, and only such a crash makes these two lose anything.
const quick = { fsync: 'off', full_page_writes: 'off' };

const defaults = {
  ...quick,
  max_connections: '300',
  max_prepared_transactions: '10',
  deadlock_timeout: '100ms',
  max_wal_size: '256MB',
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  log_checkpoints: 'off',
  lc_messages: 'C',
};

/** Makes and starts an empty Postgres on a port of its own. */
export async function startPostgres({ settings = {} }: PostgresOptions = {}): Promise<PostgresServer> {
  const binaries = await postgresBinaries();
  const data = await dataFolder(binaries);
  const init = [
    '--username=postgres',
    '--auth=trust',
    '--no-locale',
    '--encoding=UTF8',
    '--no-sync',
    '--no-instructions',
  ];
  await runFile(binaries.initdb, [`--pgdata=${data}`, ...init], { ...binaries.user });
  return launch(binaries, data, { ...defaults, ...settings });
}

async function launch(
  binaries: PostgresBinaries,
  data: string,
  initialSettings: Readonly<Record<string, string>>,
): Promise<PostgresServer> {
  const port = await freePort();
  let settings = initialSettings;
  let server: ServerProcess = await startProcess();

  async function startProcess(): Promise<ServerProcess> {
    const flags = Object.entries({ ...settings, port: `${port}` }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ]);
    return startServerProcess({
      command: binaries.postgres,
      args: ['-D', data, ...flags],
      ...(binaries.user && { user: binaries.user }),
      ready: /database system is ready to accept (read-only )?connections/,
      endWith: 'SIGQUIT',
    });
  }

  const self: PostgresServer = {
    // Trust authentication asks for no password; the URL has one because real ones do.
    url: `postgres://postgres:test-password@127.0.0.1:${port}/postgres`,
    port,
    stop: (mode = 'fast') => server.end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT'),
    kill: () => server.end('SIGKILL'),
    start: async (changed = {}) => {
      settings = { ...settings, ...changed };
      // After a SIGKILL the backends live on for a moment, and a new postmaster refuses to start beside them.
      server = await eventually(startProcess, { what: 'the restart of Postgres' });
    },
    startStandby: async (options = {}) => {
      await self.stop();
      const copy = await dataFolder(binaries);
      await runFile('cp', ['-R', `${data}/.`, copy], { ...binaries.user });
      await self.start();
      const signal = join(copy, 'standby.signal');
      writeFileSync(signal, '');
      if (binaries.user) chownSync(signal, binaries.user.uid, binaries.user.gid);
      const primary = `host=127.0.0.1 port=${port} user=postgres application_name=standby`;
      return launch(binaries, copy, { ...settings, ...options.settings, primary_conninfo: primary });
    },
    remove: async () => {
      await server.end('SIGQUIT');
      // Backends that outlive the postmaster for a moment can still be writing.
      await eventually(() => (rmSync(data, { recursive: true, force: true }), true));
      removeFolder(data);
    },
  };
  return self;
}

async function dataFolder({ user }: PostgresBinaries): Promise<string> {
  const folder = await temporaryFolder('postgres');
  if (user) chownSync(folder, user.uid, user.gid);
  return folder;
}
