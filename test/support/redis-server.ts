/** A private Redis for tests that freeze, kill, flush or fill one. */

import { ensureRedis } from '../../scripts/install-program.mjs';
import { freePort } from './free-port.ts';
import { temporaryFolder } from './janitor.ts';
import { startRestartable } from './restartable-server.ts';
import type { RestartableServer } from './restartable-server.ts';
import { startServerProcess } from './server-process.ts';

/** Options of `startRedis`. */
export interface RedisOptions {
  /** Flags as redis.conf names them, such as `{ maxmemory: '2mb' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A Redis server of the test's own. Started again, it is empty. */
export interface RedisServer extends RestartableServer {
  readonly url: string;
  readonly port: number;
}

/** Starts a Redis server that keeps nothing on disk. */
export async function startRedis({ settings = {} }: RedisOptions = {}): Promise<RedisServer> {
  const command = await ensureRedis();
  const folder = await temporaryFolder('redis');
  const port = await freePort();
  const flags = { bind: '127.0.0.1', port: `${port}`, dir: folder, save: '', appendonly: 'no', ...settings };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const server = await startRestartable(folder, () =>
    startServerProcess({ command, args, ready: /Ready to accept connections/, endWith: 'SIGKILL' }),
  );
  return { ...server, url: `redis://127.0.0.1:${port}`, port };
}
