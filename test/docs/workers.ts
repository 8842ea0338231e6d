/** What the document about work without GraphQL takes for granted: an app, a queue and a mailer, in memory. */

import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Request {
  readonly body: unknown;
  /** Who was authenticated. */
  readonly user: string;
  get(header: string): string | undefined;
}

export interface Response {
  status(code: number): Response;
  set(header: string, value: string): Response;
  json(body: unknown): void;
}

type Handler = (request: Request, response: Response) => Promise<void>;

export interface Message {
  readonly id: string;
  readonly body: string;
  acknowledge(): void;
  redeliver(): void;
  discard(): void;
}

/** What a consumer did with a delivery. */
export type Fate = 'acknowledged' | 'redelivered' | 'discarded';

const handlers = new Map<string, Handler>();
let consumer: ((message: Message) => Promise<void>) | undefined;

/** Routes as Express does, and hands a handler's rejection to the server as Express 5 does. */
export const app = {
  post(path: string, handler: Handler): void {
    handlers.set(path, handler);
  },

  async listen(): Promise<{ readonly url: string; readonly close: () => void }> {
    const server = createServer((request, response) => {
      handle(request, response).catch((error: Error) => {
        response.writeHead(500).end(JSON.stringify({ error: error.message }));
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const { port } = server.address() as { port: number };
    return {
      url: `http://127.0.0.1:${port}`,
      close() {
        server.close();
        server.closeAllConnections();
      },
    };
  },
};

export const queue = {
  consume(handler: (message: Message) => Promise<void>): void {
    consumer = handler;
  },

  async deliver(id: string, body: unknown): Promise<Fate | undefined> {
    let fate: Fate | undefined;
    await consumer!({
      id,
      body: JSON.stringify(body),
      acknowledge: () => void (fate = 'acknowledged'),
      redeliver: () => void (fate = 'redelivered'),
      discard: () => void (fate = 'discarded'),
    });
    return fate;
  },

  async stop(): Promise<void> {
    consumer = undefined;
  },
};

/** The keys that it was handed, by user; and whether it fails for the next one. */
export const mailer = {
  sent: [] as (readonly [user: string, key: string])[],
  failsFor: undefined as string | undefined,

  async send(user: string, mail: { idempotencyKey: string; signal: AbortSignal }): Promise<void> {
    mail.signal.throwIfAborted();
    mailer.sent.push([user, mail.idempotencyKey]);
    if (mailer.failsFor !== user) return;
    mailer.failsFor = undefined;
    throw new Error('the mailer did not answer');
  },
};

export async function usersToBill(_day: string): Promise<string[]> {
  return ['ann', 'ben'];
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const reply: Response = {
    status(code) {
      response.statusCode = code;
      return reply;
    },
    set(header, value) {
      response.setHeader(header, value);
      return reply;
    },
    json: (body) => void response.end(JSON.stringify(body)),
  };
  await handlers.get(request.url!)!(
    {
      body: JSON.parse(Buffer.concat(chunks).toString()),
      user: (request.headers.authorization ?? '').replace('Bearer ', ''),
      get: (header) => request.headers[header] as string | undefined,
    },
    reply,
  );
}
