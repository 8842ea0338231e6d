/** The payment service behind an HTTP proxy that loses requests and answers as it is told. */

import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createDatabase } from '../../support/database.ts';
import { startService } from '../../support/service.ts';
import type { Service } from '../../support/service.ts';
import { deferred } from '../../support/signal.ts';
import type { Deferred } from '../../support/signal.ts';

/** What becomes of one request. */
export type Loss =
  | 'none'
  /** The connection ends before the server has heard of it. */
  | 'request'
  /** The server answers, and the connection ends instead. */
  | 'answer'
  /** The connection ends in the middle of the answer. */
  | 'half the answer'
  /** Somebody on the way answers; the server never hears of it. */
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> };

export interface ProxiedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly key: string | undefined;
  readonly text: string;
}

export interface LossyService {
  readonly service: Service;
  /** The address of the proxy. */
  readonly url: string;
  /** What came since `lose` was last called. */
  readonly requests: readonly ProxiedRequest[];
  /** Forgets what was; says what becomes of the next requests. Those behind them get through. */
  lose(...next: readonly Loss[]): Promise<void>;
  /** Payments made since `lose` was last called. */
  payments(): Promise<number>;
  /** Holds the next payment in its resolver. */
  hold(): { readonly reached: Promise<void>; readonly release: () => void };
  stop(): Promise<void>;
}

const TOLD = ['content-type', 'retry-after', 'date', 'idempotent-replayed'];

export async function startLossyService(): Promise<LossyService> {
  const { url: databaseUrl } = await createDatabase({ migrated: true });
  let held: { readonly reached: Deferred<void>; readonly released: Deferred<void> } | undefined;
  const service = await startService({
    databaseUrl,
    typeDefs: 'extend type Mutation { log(line: String): String }',
    resolvers: () => ({ Mutation: { log: (_: unknown, { line }: { line?: string }) => line ?? 'logged' } }),
    pay: async ({ insert }) => {
      held?.reached.resolve();
      await held?.released.promise;
      return insert();
    },
  });
  const requests: ProxiedRequest[] = [];
  const losses: Loss[] = [];
  let before = 0;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    requests.push({ method, url, headers, key: headers['idempotency-key'] as string | undefined, text });
    const loss = losses.shift() ?? 'none';
    if (loss === 'request') return void response.destroy();
    if (typeof loss === 'object') {
      return void response.writeHead(loss.status, loss.headers).end(loss.body ?? '<html></html>');
    }
    const answer = await fetch(new URL(url, service.url), {
      method,
      headers: passedOn(headers),
      ...(method === 'GET' ? {} : { body: text }),
    });
    const body = Buffer.from(await answer.arrayBuffer());
    if (loss === 'answer') return void response.destroy();
    for (const name of TOLD) {
      const value = answer.headers.get(name);
      if (value !== null) response.setHeader(name, value);
    }
    response.writeHead(answer.status, { 'content-length': body.length });
    if (loss === 'none') return void response.end(body);
    response.write(body.subarray(0, body.length / 2), () => response.destroy());
  }

  const proxy = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => {
    proxy.listen(0, '127.0.0.1', resolve);
  });
  return {
    service,
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/`,
    requests,
    async lose(...next) {
      requests.length = 0;
      losses.splice(0, losses.length, ...next);
      before = (await service.payments()).length;
    },
    payments: async () => (await service.payments()).length - before,
    hold() {
      const holding = { reached: deferred(), released: deferred() };
      held = holding;
      return {
        reached: holding.reached.promise,
        release() {
          held = undefined;
          holding.released.resolve();
        },
      };
    },
    async stop() {
      proxy.closeAllConnections();
      await new Promise((resolve) => {
        proxy.close(resolve);
      });
      await service.stop();
    },
  };
}

/** Those that belong to one connection stay behind. */
function passedOn(headers: IncomingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) => {
    const own = ['host', 'connection', 'content-length', 'transfer-encoding', 'accept-encoding'];
    return own.includes(name) || typeof value !== 'string' ? [] : [[name, value]];
  });
}
