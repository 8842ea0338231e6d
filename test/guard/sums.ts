/** A guarded field over plain `execute`, whose resolver every test replaces. */

import { makeExecutableSchema } from '@graphql-tools/schema';
import { execute, parse } from 'graphql';
import type { ExecutionResult, GraphQLResolveInfo, GraphQLSchema } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency, IdempotencyOptions } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll } from 'vitest';
import { createDatabase } from '../support/database.ts';

interface Context {
  readonly user: string;
}

/** What the resolver of `add` and `loose` does; `write` inserts its argument. */
export type During = (info: GraphQLResolveInfo, n: number) => unknown;

export interface Sums {
  readonly idempotency: Idempotency<Context>;
  readonly schema: GraphQLSchema;
  during: During;
  authorize: () => unknown;
  readonly write: During;
  runs(): number;
  /** `add(n:)` with a key. */
  add(key: string): Promise<ExecutionResult>;
  /** `loose(n:)`, which needs no key. */
  loose(): Promise<ExecutionResult>;
  /** What is in the table, read on another connection. */
  rows(): Promise<number[]>;
  sql(text: string): Promise<pg.QueryResult>;
}

const SDL = `
  type Query { ping: String }
  type Sum { n: Int }
  type Mutation {
    add(n: Int!): Sum @idempotent
    loose(n: Int!): Sum @idempotent(required: false)
  }
`;
const add = parse('mutation ($k: String!) { add(n: 1) @idempotent(key: $k) { n } }');
const loose = parse('mutation { loose(n: 1) { n } }');
const silent = { info() {}, warn() {}, error() {} };

/** Ends with the test file. */
export async function startSums(options: Partial<IdempotencyOptions<Context>> = {}): Promise<Sums> {
  const { url } = await createDatabase({ migrated: true });
  const own = new pg.Pool({ connectionString: url });
  await own.query('create table sums (n int)');
  let runs = 0;
  const idempotency = createIdempotency<Context>({
    scope: ({ user }) => user,
    postgres: url,
    redis: false,
    sweepInterval: 0,
    transactionTimeout: 5000,
    authorizeReplay: () => sums.authorize(),
    logger: silent,
    ...options,
  });
  const resolve = async (_: unknown, { n }: { n: number }, __: unknown, info: GraphQLResolveInfo) => {
    runs += 1;
    await sums.during(info, n);
    return { n };
  };
  const schema = idempotency.applyTo(
    makeExecutableSchema({
      typeDefs: [idempotency.typeDefs, SDL],
      resolvers: { Mutation: { add: resolve, loose: resolve } },
    }),
  );
  const contextValue: Context = { user: 'alice' };
  const write: During = async (info, n) => {
    await idempotency.current(info).tx.query('insert into sums values ($1)', [n]);
  };
  const sums: Sums = {
    idempotency,
    schema,
    during: write,
    authorize: () => {},
    write,
    runs: () => runs,
    add: async (k) =>
      execute({ schema, document: add, variableValues: { k }, contextValue: { ...contextValue } }),
    loose: async () => execute({ schema, document: loose, contextValue: { ...contextValue } }),
    rows: async () => (await own.query<{ n: number }>('select n from sums')).rows.map(({ n }) => n),
    sql: (text) => own.query(text),
  };
  endings.push(async () => {
    await idempotency.close();
    await own.end();
  });
  return sums;
}

export function codeOf({ errors }: ExecutionResult): unknown {
  return errors?.[0]?.extensions['code'];
}

/** A COMMIT that no scanner of the text can see: it depends on a setting of the session. */
export async function commitUnseen(sums: Sums, info: GraphQLResolveInfo): Promise<void> {
  const { tx } = sums.idempotency.current(info);
  await tx.query('set standard_conforming_strings = off');
  await tx.query("select '\\''; commit; --'");
}

const endings: (() => Promise<void>)[] = [];
afterAll(async () => {
  await Promise.all(endings.map((end) => end()));
});
