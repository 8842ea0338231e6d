/** Sends requests over a fixed number of connections, one after the other on each, and counts the answers. */

import { Agent, request } from 'node:http';

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  readonly body: string;
  /** The next request's idempotency key. */
  readonly key: () => string | undefined;
}

/** Returns requests per second. Any answer but 200 with data ends the run. */
export async function measure(options: LoadOptions): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: options.connections });
  const started = performance.now();
  const end = started + options.seconds * 1000;
  let answered = 0;
  async function connection(): Promise<void> {
    while (performance.now() < end) {
      await send(options.port, options.body, options.key(), agent);
      answered += 1;
    }
  }
  await Promise.all(Array.from({ length: options.connections }, connection));
  agent.destroy();
  return answered / ((performance.now() - started) / 1000);
}

/** Sends one request. Rejects unless it is answered 200 with data. */
export function send(port: number, body: string, key: string | undefined, agent?: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...(agent === undefined ? {} : { agent }),
        port,
        host: '127.0.0.1',
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'content-length': body.length,
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => {
          if (response.statusCode === 200 && text.startsWith('{"data"')) resolve();
          else reject(new Error(`Unexpected answer: ${response.statusCode} ${text.slice(0, 500)}`));
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
