/** A server with guarded mutations whose resolvers each test writes, for `verifyIdempotency` to try. */

import { ApolloServer } from '@apollo/server';
import type { ApolloServerOptions } from '@apollo/server';
import type { GraphQLResolveInfo } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { CurrentAttempt, Idempotency, IdempotencyOptions } from 'graphql-idempotency';
import { VerificationError, verifyIdempotency } from 'graphql-idempotency/testing';
import type { VerificationReport, VerifyOptions } from 'graphql-idempotency/testing';
import pg from 'pg';
import { createDatabase } from '../support/database.ts';

export interface Context {
  readonly user: string;
  /** For servers whose plugin does not carry the key. */
  readonly key?: string;
}

export interface Charge {
  readonly attempt: CurrentAttempt;
  readonly amount: number;
  /** Writes a payment, by whatever means. */
  readonly insert: (on: Queryable) => Promise<number>;
}

export interface Queryable {
  query(text: string, values: unknown[]): Promise<{ rows: { id?: unknown }[] }>;
}

export type Resolver = (charge: Charge) => unknown;

export interface Shop {
  readonly url: string;
  readonly server: ApolloServer<Context>;
  readonly idempotency: Idempotency<Context>;
  /** The resolver of every mutation. */
  charge: Resolver;
  /** What `Payment.note` does. */
  note: () => unknown;
  /** Connections that don't join. */
  readonly elsewhere: pg.Pool;
  readonly outbox: string[];
  readonly log: readonly string[];
  /** The driver's client on which the attempt runs. */
  clientOf(attempt: CurrentAttempt): Promise<pg.PoolClient>;
  effects(): Promise<{ payments: number; emails: number }>;
  verify(options?: Partial<VerifyOptions<Context>>): Promise<VerificationReport>;
  /** Verifies, and returns the error that it ends with. */
  caught(options?: Partial<VerifyOptions<Context>>): Promise<VerificationError>;
  stop(): Promise<void>;
}

export const CHARGE = 'mutation { charge(amount: 5) { id amount } }';
export const PAY_OUT = 'mutation { payOut(amount: 5) { id amount } }';

const SDL = `
  type Query { ping: String }
  type Payment { id: ID, amount: Int!, note: String }
  type Mutation {
    charge(amount: Int!): Payment @idempotent
    patient(amount: Int!): Payment @idempotent(inFlight: WAIT)
    named(amount: Int!, name: String): Payment @idempotent(keyArgument: "name")
    loose(amount: Int!, name: String): Payment @idempotent(required: false, keyArgument: "name")
    payOut(amount: Int!): Payment @idempotent(mode: LEASE)
    unguarded(amount: Int!): Payment
  }
`;

interface ServerOptions {
  /** By default a database of its own. */
  readonly databaseUrl?: string;
  readonly plugin?: boolean;
  readonly formatError?: ApolloServerOptions<Context>['formatError'];
}

export async function openShop(
  options: Partial<IdempotencyOptions<Context>> = {},
  { databaseUrl, plugin = true, formatError }: ServerOptions = {},
): Promise<Shop> {
  const url = databaseUrl ?? (await createDatabase({ migrated: true })).url;
  const elsewhere = new pg.Pool({ connectionString: url, max: 3 });
  elsewhere.on('error', () => {});
  await elsewhere.query(
    'create table if not exists payments (id serial primary key, amount integer, once text unique)',
  );
  const clients = new Set<pg.PoolClient>();
  const described = new pg.Pool({ connectionString: url, max: 4 });
  described.on('connect', (client) => clients.add(client));
  described.on('error', () => {});
  const log: string[] = [];
  const write = (message: string): void => void log.push(message);
  const idempotency = createIdempotency<Context>({
    scope: ({ user }) => user,
    postgres: described,
    redis: false,
    sweepInterval: 0,
    logger: { info: write, warn: write, error: write },
    ...options,
  });
  const outbox: string[] = [];

  const resolve = async (
    _: unknown,
    { amount }: { amount: number },
    __: unknown,
    info: GraphQLResolveInfo,
  ): Promise<unknown> => {
    const insert = async (on: Queryable): Promise<number> => {
      const { rows } = await on.query('insert into payments (amount) values ($1) returning id', [amount]);
      return Number(rows[0]?.id);
    };
    const attempt = info.fieldName === 'unguarded' ? ({} as CurrentAttempt) : idempotency.current(info);
    return { id: await shop.charge({ attempt, amount, insert }), amount };
  };
  const server = new ApolloServer<Context>({
    typeDefs: [idempotency.typeDefs, SDL],
    resolvers: {
      Mutation: Object.fromEntries(
        ['charge', 'patient', 'named', 'loose', 'payOut', 'unguarded'].map((name) => [name, resolve]),
      ),
      Payment: { note: () => shop.note() },
    },
    plugins: [plugin ? idempotency.plugin() : { serverWillStart: applyTo(idempotency) }],
    ...(formatError === undefined ? {} : { formatError }),
  });
  const shop: Shop = {
    url,
    server,
    idempotency,
    charge: ({ attempt, insert }) => insert(attempt.tx as Queryable),
    note: () => null,
    elsewhere,
    outbox,
    log,
    async clientOf({ tx }) {
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
      return [...clients].find((client) => (client as { processID?: number }).processID === rows[0]!.pid)!;
    },
    async effects() {
      const { rows } = await elsewhere.query<{ n: number }>('select count(*)::int as n from payments');
      return { payments: rows[0]!.n, emails: outbox.length };
    },
    verify: (more) =>
      verifyIdempotency<Context>({
        server,
        operation: CHARGE,
        contextValue: { user: 'alice' },
        effects: () => shop.effects(),
        settleMs: 30,
        ...more,
      }),
    async caught(more) {
      const error = await shop.verify(more).then(
        (report) => new Error(`it passed: ${JSON.stringify(report)}`),
        (reason: unknown) => reason,
      );
      if (!(error instanceof VerificationError)) throw error;
      return error;
    },
    async stop() {
      await server.stop();
      await idempotency.close();
      await described.end();
      await elsewhere.end();
    },
  };
  return shop;
}

function applyTo(idempotency: Idempotency<Context>) {
  return async ({ schema }: { schema: Parameters<Idempotency<Context>['applyTo']>[0] }): Promise<void> => {
    idempotency.applyTo(schema);
  };
}
