/** A private Redis for tests that freeze, kill, flush or fill one. */

import { ensureRedis } from '../../scripts/install-program.mjs';
import { freePort } from './free-port.ts';
import { removeFolder, temporaryFolder } from './janitor.ts';
import { type ServerProcess, startServerProcess } from './server-process.ts';

/** Options of `startRedis`. */
export interface RedisOptions {
  /** Flags as redis.conf names them, such as `{ maxmemory: '2mb' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A Redis server of the test's own. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Stops answering, without closing a connection. */
  freeze(): void;
  thaw(): void;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
  /** Ends it in order; it saves nothing. */
  stop(): Promise<void>;
  /** Starts it again on the same port, empty. */
  start(): Promise<void>;
  /** Ends it for good and deletes its folder. */
  remove(): Promise<void>;
}

/** Starts a Redis server that keeps nothing on disk. */
export async function startRedis({ settings = {} }: RedisOptions = {}): Promise<RedisServer> {
  const command = await ensureRedis();
  const folder = await temporaryFolder('redis');
  const port = await freePort();
  const flags = { bind: '127.0.0.1', port: `${port}`, dir: folder, save: '', appendonly: 'no', ...settings };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const launch = (): Promise<ServerProcess> =>
    startServerProcess({ command, args, ready: /Ready to accept connections/, endWith: 'SIGKILL' });
  let server = await launch();
  return {
    url: `redis://127.0.0.1:${port}`,
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
