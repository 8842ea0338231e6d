/** A private NATS server with JetStream, for tests that kill it and start it again with what it has kept. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureNats } from '../../scripts/install-program.mjs';
import { freePort } from './free-port.ts';
import { removeFolder, temporaryFolder } from './janitor.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';

/** A NATS server of the test's own. */
export interface NatsServer {
  readonly url: string;
  readonly port: number;
  /** Stops answering, without closing a connection. */
  freeze(): void;
  thaw(): void;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
  /** Starts it again on the same port, with its streams. */
  start(): Promise<void>;
  /** Ends it for good and deletes its folder. */
  remove(): Promise<void>;
}

/**
 * Starts a server that keeps streams in a temporary folder. It writes before it answers, so that a killed one loses
 * nothing; to the disk itself it syncs later, and `sync_interval` is not known before 2.10.
 */
export async function startNats(): Promise<NatsServer> {
  const command = await ensureNats();
  const folder = await temporaryFolder('nats');
  const port = await freePort();
  const file = join(folder, 'nats-server.conf');
  await writeFile(file, configuration(port, folder));
  const launch = (): Promise<ServerProcess> =>
    startServerProcess({ command, args: ['-c', file], ready: /Server is ready/, endWith: 'SIGKILL' });
  let server = await launch();
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    freeze: () => server.signal('SIGSTOP'),
    thaw: () => server.signal('SIGCONT'),
    kill: () => server.end('SIGKILL'),
    stop: () => server.end('SIGTERM'),
    start: async () => {
      server = await launch();
    },
    remove: async () => {
      await server.end('SIGKILL');
      removeFolder(folder);
    },
  };
}

function configuration(port: number, folder: string): string {
  return [
    `listen: "127.0.0.1:${port}"`,
    `jetstream { store_dir: ${JSON.stringify(folder)}, max_mem: 64MB, max_file: 1GB }`,
    '',
  ].join('\n');
}
