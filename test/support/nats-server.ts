/** A private NATS server with JetStream, for tests that kill it and start it again with what it has kept. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureNats } from '../../scripts/install-program.mjs';
import { freePort } from './free-port.ts';
import { temporaryFolder } from './janitor.ts';
import { startRestartable } from './restartable-server.ts';
import type { RestartableServer } from './restartable-server.ts';
import { startServerProcess } from './server-process.ts';

/** A NATS server of the test's own. Started again, it has its streams. */
export interface NatsServer extends RestartableServer {
  readonly url: string;
  readonly port: number;
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
  const server = await startRestartable(folder, () =>
    startServerProcess({ command, args: ['-c', file], ready: /Server is ready/, endWith: 'SIGKILL' }),
  );
  return { ...server, url: `nats://127.0.0.1:${port}`, port };
}

function configuration(port: number, folder: string): string {
  return [
    `listen: "127.0.0.1:${port}"`,
    `jetstream { store_dir: ${JSON.stringify(folder)}, max_mem: 64MB, max_file: 1GB }`,
    '',
  ].join('\n');
}
