/** Plays the bank that the documents pay through: it keeps what was done, and does as it is told. */

import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** What becomes of the next request that would pay: done or not, and with which answer, if any. */
export type Whim = { readonly pays: boolean; readonly status: number | undefined };

export interface Bank {
  readonly url: string;
  /** By the key or reference that they were asked for with: each is paid once. */
  readonly paid: ReadonlyMap<string, string>;
  /** The keys of all requests to pay, repeated ones too. */
  readonly asked: readonly string[];
  /** Applies to the next requests to pay, one each. */
  whims: Whim[];
  close(): void;
}

export async function startBank(): Promise<Bank> {
  const paid = new Map<string, string>();
  const asked: string[] = [];

  async function pay(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { reference } = JSON.parse(Buffer.concat(chunks).toString()) as { reference?: string };
    const key = reference ?? String(request.headers['idempotency-key']);
    asked.push(key);
    const { pays, status } = bank.whims.shift() ?? { pays: true, status: 200 };
    if (pays && !paid.has(key)) paid.set(key, `payment ${paid.size + 1}`);
    if (status === undefined) response.destroy();
    else response.writeHead(status).end(JSON.stringify({ id: paid.get(key) }));
  }

  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      void pay(request, response);
      return;
    }
    const id = paid.get(new URL(request.url!, 'http://bank').searchParams.get('reference') ?? '');
    response.end(JSON.stringify(id === undefined ? [] : [{ id }]));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  const bank: Bank = {
    url: `http://127.0.0.1:${port}`,
    paid,
    asked,
    whims: [],
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
  return bank;
}
