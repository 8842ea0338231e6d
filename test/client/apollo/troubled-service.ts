/** The payment service behind an HTTP proxy that loses requests and answers as it is told. */

import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GraphQLResolveInfo } from 'graphql';
import { createDatabase } from '../../support/database.ts';
import { startService } from '../../support/service.ts';
import type { Service } from '../../support/service.ts';

/** What becomes of one request; what has no entry passes. */
export type Trouble =
  /** The connection ends before the server has heard of it. */
  | 'request lost'
  /** The server answers, and the connection ends instead. */
  | 'answer lost'
  /** Somebody on the way answers, and the server never hears of it. */
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> };

export interface Passed {
  readonly key: string | undefined;
  readonly headers: IncomingMessage['headers'];
  // oxlint-disable-next-line typescript/no-explicit-any -- requests of many shapes
  readonly body: any;
}

export interface TroubledService {
  readonly service: Service;
  readonly url: string;
  /** What arrived at the proxy since `trouble` was last called. */
  readonly requests: readonly Passed[];
  /** Forgets what was, and says what happens to the next requests. */
  trouble(...next: readonly (Trouble | 'passes')[]): Promise<void>;
  /** How many payments were made since `trouble` was last called. */
  payments(): Promise<number>;
  stop(): Promise<void>;
}

export async function startTroubledService(): Promise<TroubledService> {
  const database = await createDatabase({ migrated: true });
  const service = await startService({
    databaseUrl: database.url,
    typeDefs: `extend type Mutation {
      log(line: String): String
      payOr(amount: Int!): Payment @idempotent(required: false)
    }`,
    resolvers: (idempotency) => ({
      Mutation: {
        log: (_: unknown, { line }: { line?: string }) => line ?? 'logged',
        payOr: async (_: unknown, { amount }: { amount: number }, __: unknown, info: GraphQLResolveInfo) => {
          const { rows } = await idempotency
            .current(info)
            .tx.query<{ id: string }>('insert into payments (amount) values ($1) returning id::text', [
              amount,
            ]);
          return { id: rows[0]!.id, amount };
        },
      },
    }),
  });
  const requests: Passed[] = [];
  let before = 0;
  const waiting: (Trouble | 'passes')[] = [];

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const key = request.headers['idempotency-key'] as string | undefined;
    requests.push({ key, headers: request.headers, body: JSON.parse(text) });
    const trouble = waiting.shift() ?? 'passes';
    if (trouble === 'request lost') return void response.destroy();
    if (typeof trouble === 'object') {
      const type = { 'content-type': 'application/json', ...trouble.headers };
      return void response.writeHead(trouble.status, type).end(JSON.stringify(trouble.body ?? {}));
    }
    const answer = await fetch(service.url, { method: 'POST', headers: passedOn(request), body: text });
    const body = await answer.text();
    if (trouble === 'answer lost') return void response.destroy();
    const told = ['content-type', 'retry-after', 'idempotent-replayed'].flatMap((name) => {
      const value = answer.headers.get(name);
      return value === null ? [] : [[name, value] as const];
    });
    response.writeHead(answer.status, Object.fromEntries(told)).end(body);
  };
  const proxy: Server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));

  return {
    service,
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/`,
    requests,
    async trouble(...next) {
      requests.splice(0);
      waiting.splice(0, waiting.length, ...next);
      before = (await service.payments()).length;
    },
    payments: async () => (await service.payments()).length - before,
    async stop() {
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
      await service.stop();
      await database.drop();
    },
  };
}

/** The headers that mean something to the server; those of the connection are this connection's. */
function passedOn({ headers }: IncomingMessage): Record<string, string> {
  const names = ['content-type', 'accept', 'authorization', 'idempotency-key'];
  return Object.fromEntries(
    names.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])),
  );
}
