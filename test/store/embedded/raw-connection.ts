/** Connections that do what `pg` doesn't: stop in the middle, or leave out a Sync. */

import type { Duplex } from 'node:stream';
import type { ClientBase, PoolConfig } from 'pg';

/** Ends a connection without a word, as a lost network does. */
export function cut(client: ClientBase): void {
  (client as unknown as { connection: { stream: Duplex } }).connection.stream.destroy();
}

/** Connects without `pg` and waits until the server is ready. */
export async function rawConnection({ stream }: PoolConfig): Promise<Duplex> {
  const connection = stream?.() as Duplex & { connect(): void };
  const connected = new Promise((resolve) => connection.once('connect', resolve));
  connection.connect();
  await connected;
  const ready = heard(connection, 'server_version');
  const parameters = Buffer.from('user\0postgres\0\0');
  const head = Buffer.from([0, 0, 0, parameters.length + 8, 0, 3, 0, 0]);
  connection.write(Buffer.concat([head, parameters]));
  await ready;
  return connection;
}

/** Resolves when the text has come over the connection. */
export function heard(connection: Duplex, text: string): Promise<void> {
  return new Promise((resolve) => {
    connection.on('data', (bytes: Buffer) => bytes.toString('latin1').includes(text) && resolve());
  });
}

/** Parse, Bind, Execute and Flush: everything but the Sync. */
export function parseBindExecute(sql: string): Buffer {
  return Buffer.concat([
    message('P', `\0${sql}\0\0\0`),
    message('B', '\0\0\0\0\0\0\0\0'),
    message('E', '\0\0\0\0\0'),
    message('H', ''),
  ]);
}

function message(tag: string, body: string): Buffer {
  const head = Buffer.alloc(5, tag);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, Buffer.from(body)]);
}
