/** The listening half of the proxies: accepts clients, connects each to the target, refuses and cuts. */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from './free-port.ts';

/** Where a proxy connects to. */
export interface ProxyTarget {
  readonly host: string;
  readonly port: number;
}

/** Both ends of one proxied connection. */
export interface ProxyLink {
  readonly client: Socket;
  readonly server: Socket;
}

/** What both proxies can do to connections as a whole. */
export interface ProxyListener {
  readonly port: number;
  /** Stops listening: new connections are refused. Those that exist stay. */
  readonly refuse: () => Promise<void>;
  /** Listens again, on the same port. */
  readonly accept: () => Promise<void>;
  /** Connects new clients to another server from now on. */
  retarget(target: ProxyTarget): void;
  /** Ends every connection that exists. */
  readonly cut: () => void;
  readonly close: () => Promise<void>;
}

/** Starts listening on a port of 127.0.0.1. */
export async function startProxyListener(
  initialTarget: ProxyTarget,
  onLink: (link: ProxyLink) => void,
): Promise<ProxyListener> {
  const sockets = new Set<Socket>();
  let target = initialTarget;

  // Half-open, because an end of one direction is passed on like any other message: in its turn.
  const listener: Server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const server = connect({ ...target, allowHalfOpen: true, noDelay: true });
    for (const socket of [client, server]) {
      sockets.add(socket);
      // What an error means for the other end is said by the close that follows it.
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    onLink({ client, server });
  });

  const port = await freePort();
  const accept = async (): Promise<void> => {
    if (listener.listening) return;
    listener.listen(port, '127.0.0.1');
    await once(listener, 'listening');
  };
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const refuse = async (): Promise<void> => {
    // A server says that it is closed only after its last connection; it stops listening at once.
    if (listener.listening) listener.close();
  };
  await accept();
  return {
    port,
    refuse,
    accept,
    retarget: (changed) => {
      target = changed;
    },
    cut,
    close: async () => {
      await refuse();
      cut();
    },
  };
}

/** The host and port of a URL. */
export function proxyTarget(url: string, defaultPort: number): ProxyTarget {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: port === '' ? defaultPort : Number(port) };
}

/** The URL with the proxy in the place of the server. */
export function throughProxy(url: string, port: number): string {
  const changed = new URL(url);
  changed.hostname = '127.0.0.1';
  changed.port = `${port}`;
  return changed.href;
}
