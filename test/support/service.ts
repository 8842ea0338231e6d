/** A small payment service on the library: what most tests drive, over real HTTP. */

import { ApolloServer } from '@apollo/server';
import type { ApolloServerOptionsWithTypeDefs } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import type { GraphQLResolveInfo } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency, IdempotencyOptions, Transaction } from 'graphql-idempotency';
import pg from 'pg';

export interface ServiceContext {
  readonly user: string | undefined;
  /** Aborts when the client goes away before it has its answer. */
  readonly gone: AbortSignal;
}

export interface PayArguments {
  readonly amount: number;
  readonly note?: string | null;
}

export interface PayCall {
  readonly tx: Transaction;
  readonly args: PayArguments;
  readonly info: GraphQLResolveInfo;
  /** Writes the payment through the transaction, and returns it. */
  readonly insert: () => Promise<{ id: string; amount: number; note: string | null }>;
}

export interface ServiceOptions {
  readonly databaseUrl: string;
  /** `false`, the default: no Redis. */
  readonly redis?: IdempotencyOptions<ServiceContext>['redis'];
  readonly options?: Partial<IdempotencyOptions<ServiceContext>>;
  /** What `Mutation.pay` does; by default it inserts one row and returns it. */
  readonly pay?: (call: PayCall) => unknown;
  /** More SDL and resolvers. */
  readonly typeDefs?: string;
  readonly resolvers?: (idempotency: Idempotency<ServiceContext>) => Record<string, Record<string, unknown>>;
  readonly apollo?: Partial<Omit<ApolloServerOptionsWithTypeDefs<ServiceContext>, 'typeDefs' | 'resolvers'>>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // oxlint-disable-next-line typescript/no-explicit-any -- answers of many shapes
  readonly body: any;
  /** The code of the first error. */
  readonly code: string | undefined;
}

export interface SendOptions {
  readonly query?: string;
  readonly variables?: Record<string, unknown>;
  /** Sent as the header `Idempotency-Key`. */
  readonly key?: string;
  readonly user?: string;
  readonly headers?: Record<string, string>;
  readonly extensions?: Record<string, unknown>;
}

export interface Service {
  readonly url: string;
  readonly idempotency: Idempotency<ServiceContext>;
  readonly server: ApolloServer<ServiceContext>;
  /** What the library logged. */
  readonly log: readonly { readonly level: string; readonly message: string; readonly facts: unknown }[];
  /** How often the resolver of `pay` was called. */
  runs(): number;
  /** Sends one operation; without a query, `mutation { pay(amount: 100) { id amount note } }`. */
  send(options?: SendOptions): Promise<Reply>;
  /** Sends a body as it is. */
  post(body: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Rows of the table `payments`, read on a connection of the test's own. */
  payments(): Promise<{ amount: number; note: string | null }[]>;
  records(): Promise<number>;
  stop(): Promise<void>;
}

export const PAY =
  'mutation ($amount: Int! = 100, $note: String) { pay(amount: $amount, note: $note) { id amount note } }';

/** Starts the service; its tables are made where they are missing. */
export async function startService(service: ServiceOptions): Promise<Service> {
  const own = new pg.Pool({ connectionString: service.databaseUrl, max: 2 });
  own.on('error', () => {});
  await own.query(
    'create table if not exists payments (id serial primary key, amount integer not null, note text)',
  );
  const log: { level: string; message: string; facts: unknown }[] = [];
  const logger = (level: string) => (message: string, facts?: unknown) =>
    void log.push({ level, message, facts });
  let runs = 0;
  const idempotency = createIdempotency<ServiceContext>({
    scope: ({ user }) => user,
    postgres: service.databaseUrl,
    redis: service.redis ?? false,
    migrate: true,
    sweepInterval: 0,
    logger: { info: logger('info'), warn: logger('warn'), error: logger('error') },
    ...service.options,
  });
  const server = new ApolloServer<ServiceContext>({
    typeDefs: [idempotency.typeDefs, BASE, service.typeDefs ?? ''].filter((text) => text !== ''),
    resolvers: merge(
      {
        Mutation: {
          pay: (_: unknown, args: PayArguments, __: unknown, info: GraphQLResolveInfo) => {
            runs += 1;
            const { tx } = idempotency.current(info);
            const insert = async () => {
              const { rows } = await tx.query<{ id: number; amount: number; note: string | null }>(
                'insert into payments (amount, note) values ($1, $2) returning id, amount, note',
                [args.amount, args.note ?? null],
              );
              return { ...rows[0]!, id: String(rows[0]!.id) };
            };
            return service.pay === undefined ? insert() : service.pay({ tx, args, info, insert });
          },
        },
        Query: { ping: () => 'pong' },
      },
      service.resolvers?.(idempotency) ?? {},
    ),
    plugins: [idempotency.plugin()],
    allowBatchedHttpRequests: true,
    includeStacktraceInErrorResponses: false,
    ...service.apollo,
  });
  let url: string;
  try {
    ({ url } = await startStandaloneServer(server, {
      listen: { port: 0, host: '127.0.0.1' },
      context: async ({ req, res }) => {
        const gone = new AbortController();
        res.on('close', () => {
          if (!res.writableFinished) gone.abort();
        });
        return { user: req.headers.authorization?.replace('Bearer ', '') || undefined, gone: gone.signal };
      },
    }));
  } catch (error) {
    await own.end();
    throw error;
  }

  async function post(body: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer alice', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    let parsed;
    try {
      parsed = JSON.parse(text);
    } catch {
      parsed = text;
    }
    return {
      status: response.status,
      headers: response.headers,
      body: parsed,
      code: parsed?.errors?.[0]?.extensions?.code,
    };
  }

  return {
    url,
    idempotency,
    server,
    log,
    runs: () => runs,
    send: ({ query = PAY, variables, key, user, headers, extensions } = {}) =>
      post(
        { query, variables, extensions },
        {
          ...(key === undefined ? {} : { 'idempotency-key': key }),
          ...(user === undefined ? {} : { authorization: `Bearer ${user}` }),
          ...headers,
        },
      ),
    post,
    payments: async () => (await own.query('select amount, note from payments order by id')).rows,
    records: async () =>
      (await own.query<{ n: number }>('select count(*)::int as n from graphql_idempotency.record')).rows[0]!
        .n,
    async stop() {
      await server.stop();
      await own.end();
    },
  };
}

const BASE = `
  type Query { ping: String! }
  type Payment { id: ID! amount: Int! note: String }
  type Mutation { pay(amount: Int!, note: String): Payment @idempotent }
`;

function merge(
  base: Record<string, Record<string, unknown>>,
  more: Record<string, Record<string, unknown>>,
): Record<string, Record<string, unknown>> {
  const merged: Record<string, Record<string, unknown>> = { ...base };
  for (const [type, fields] of Object.entries(more)) merged[type] = { ...merged[type], ...fields };
  return merged;
}
