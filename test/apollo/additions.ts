/** Apollo Servers with one guarded mutation, over instances whose connections can be counted. */

import { ApolloServer } from '@apollo/server';
import type { GraphQLResolveInfo } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency } from 'graphql-idempotency';
import pg from 'pg';
import { createDatabase } from '../support/database.ts';
import { eventually } from '../support/signal.ts';

export const SDL = `
  type Query { ping: String }
  type Mutation { add: Int @idempotent }
`;

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

export interface ServerParts {
  readonly plugin: ReturnType<Idempotency<object>['plugin']>;
  /** The resolver; by default it is `insert`. */
  readonly add: typeof insert;
  readonly typeDefs: string;
}

/** A database with a table `additions`. */
export interface Additions {
  readonly databaseUrl: string;
  /** Makes an instance; `name` tells its connections from those of others. */
  instance(name: string): Idempotency<object>;
  count(): Promise<number>;
  connections(name: string): Promise<number>;
  /** Waits until an instance has no connection. */
  allClosed(name: string): Promise<boolean>;
  end(): Promise<void>;
}

export async function createAdditions(): Promise<Additions> {
  const { url: databaseUrl } = await createDatabase({ migrated: true });
  const own = new pg.Pool({ connectionString: databaseUrl });
  await own.query('create table additions (id serial)');
  async function connections(name: string): Promise<number> {
    const { rows } = await own.query<{ n: number }>(
      'select count(*)::int as n from pg_stat_activity where application_name = $1',
      [name],
    );
    return rows[0]!.n;
  }
  return {
    databaseUrl,
    instance(name) {
      const url = new URL(databaseUrl);
      url.searchParams.set('application_name', name);
      return createIdempotency({
        scope: () => 'everybody',
        postgres: url.href,
        redis: false,
        sweepInterval: 0,
        drainTimeout: 3000,
        logger: silent,
      });
    },
    count: async () =>
      (await own.query<{ n: number }>('select count(*)::int as n from additions')).rows[0]!.n,
    connections,
    allClosed: (name) => eventually(async () => (await connections(name)) === 0, { what: 'no connection' }),
    end: () => own.end(),
  };
}

export function serverOf(
  idempotency: Idempotency<object>,
  { plugin = idempotency.plugin(), add = insert, typeDefs = SDL }: Partial<ServerParts> = {},
): ApolloServer {
  return new ApolloServer({
    typeDefs: [idempotency.typeDefs, typeDefs],
    resolvers: {
      Mutation: {
        add: (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) => add(idempotency, info),
      },
    },
    plugins: [plugin],
    stopOnTerminationSignals: false,
    logger: silent,
  });
}

export async function insert(idempotency: Idempotency<object>, info: GraphQLResolveInfo): Promise<number> {
  const { rows } = await idempotency
    .current(info)
    .tx.query<{ id: number }>('insert into additions default values returning id');
  return rows[0]!.id;
}

let keys = 0;
/** Calls the mutation. */
export async function add(
  server: ApolloServer,
  key = `key-${(keys += 1)}`,
): Promise<{ id?: number; code?: string; outcome?: string }> {
  const { body } = await server.executeOperation({ query: `mutation { add @idempotent(key: "${key}") }` });
  if (body.kind !== 'single') throw new Error('an incremental answer');
  const { data, errors, extensions } = body.singleResult as unknown as {
    data?: { add: number };
    errors?: { extensions: { code: string } }[];
    extensions?: { idempotency: { add: { outcome: string } } };
  };
  return {
    ...(data == null ? {} : { id: data.add }),
    ...(errors === undefined ? {} : { code: errors[0]!.extensions.code }),
    ...(extensions === undefined ? {} : { outcome: extensions.idempotency.add.outcome }),
  };
}
