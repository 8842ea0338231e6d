/** A server that a test freezes, kills and starts again, with what it has kept in its folder. */

import { removeFolder } from './janitor.ts';
import type { ServerProcess } from './server-process.ts';

export interface RestartableServer {
  /** Stops answering, without closing a connection. */
  freeze(): void;
  thaw(): void;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
  /** Ends it in order. */
  stop(): Promise<void>;
  /** Starts it again, on the same port. */
  start(): Promise<void>;
  /** Ends it for good and deletes its folder. */
  remove(): Promise<void>;
}

/** Starts a server with `launch`, and with that again after each end. */
export async function startRestartable(
  folder: string,
  launch: () => Promise<ServerProcess>,
): Promise<RestartableServer> {
  let server = await launch();
  return {
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
