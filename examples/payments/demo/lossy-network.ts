/** A network that carries requests and loses answers: the connection breaks with an answer's first byte. */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface LossyNetwork {
  readonly url: string;
  close(): void;
}

/** Leads to a server. An answer begins after the commit, so every charge that is lost here is committed. */
export async function lossyNetwork(to: string): Promise<LossyNetwork> {
  const { hostname, port } = new URL(to);
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    upstream.once('data', cut);
    for (const socket of [client, upstream]) socket.on('error', cut).on('close', cut);
    client.pipe(upstream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => void server.close(),
  };
}
