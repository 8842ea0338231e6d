/** Guarded fields of lease mode over plain `execute`, whose resolver every test replaces. */

import { makeExecutableSchema } from '@graphql-tools/schema';
import { execute, parse } from 'graphql';
import type { GraphQLError, GraphQLResolveInfo, GraphQLSchema } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { CurrentAttempt, Idempotency, IdempotencyOptions } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll } from 'vitest';
import { identityOf } from '../../../src/key/identity.ts';
import type { Key } from '../../../src/key/key-form.ts';
import { createDatabase } from '../../support/database.ts';

interface Context {
  readonly user: string;
}

/** `plain` has mode TRANSACTION; `loose` needs no key; `moved` has the mode that `movedMode` says. */
export type Field = 'refuse' | 'rerun' | 'loose' | 'plain' | 'moved';

export interface Call extends CurrentAttempt {
  readonly current: CurrentAttempt;
  readonly args: { n?: number; payload?: unknown };
  readonly info: GraphQLResolveInfo;
}

export interface Answered {
  readonly value: unknown;
  readonly error: GraphQLError | undefined;
  readonly code: unknown;
}

export interface Row {
  readonly state: 'pending' | 'completed' | 'unknown';
  readonly outcome: string | null;
  readonly mode: string;
  readonly attempt: number;
  readonly fence: string;
  readonly lease_until: Date | null;
  readonly abandoned_at: Date | null;
  readonly body: Buffer | null;
}

export interface Logged {
  readonly level: string;
  readonly message: string;
  readonly facts: { readonly code?: string; readonly cause?: unknown } | undefined;
}

export interface Leases {
  readonly url: string;
  readonly idempotency: Idempotency<Context>;
  readonly schema: GraphQLSchema;
  readonly log: Logged[];
  /** What the resolvers do. */
  during: (call: Call) => unknown;
  /** How often a resolver has run, and how often an answer was replayed. */
  readonly counts: { runs: number; replays: number };
  call(field: Field, key: string | undefined, args?: Record<string, unknown>): Promise<Answered>;
  row(key: string): Promise<Row | undefined>;
  /** Names and outcomes of the journal, by name. */
  steps(key: string): Promise<{ name: string; outcome: string; attempt: number }[]>;
  /** Does to the record what another process does that takes over; a fence of its own, for an hour. */
  takeOver(key: string): Promise<void>;
  /** Lets the lease run out, now. */
  lapse(key: string): Promise<void>;
  identity(key: string): Buffer;
  sql(text: string, values?: unknown[]): Promise<pg.QueryResult>;
  /** What is in the table `effects`, read on another connection. */
  effects(): Promise<string[]>;
}

export interface LeasesOptions extends Partial<IdempotencyOptions<Context>> {
  /** Another one's database: then this is another process beside it. */
  readonly beside?: Leases;
  readonly movedMode?: 'LEASE' | 'TRANSACTION';
}

const SDL = `
  scalar Any
  type Query { ping: String }
  type Mutation {
    refuse(n: Int, payload: Any): Any @idempotent(mode: LEASE)
    rerun(n: Int, payload: Any): Any @idempotent(mode: LEASE, abandoned: RERUN)
    loose(n: Int, payload: Any): Any @idempotent(mode: LEASE, required: false)
    plain(n: Int, payload: Any): Any @idempotent
    moved(n: Int, payload: Any): Any @idempotent(mode: MOVED)
  }
`;
const fields: readonly Field[] = ['refuse', 'rerun', 'loose', 'plain', 'moved'];

/** Ends with the test file. */
export async function startLeases({
  beside,
  movedMode = 'LEASE',
  ...options
}: LeasesOptions = {}): Promise<Leases> {
  const url = beside?.url ?? (await createDatabase({ migrated: true })).url;
  const own = new pg.Pool({ connectionString: url, max: 3 });
  own.on('error', () => {});
  await own.query('create table if not exists effects (id serial, name text not null)');
  const log: Logged[] = [];
  const logger = (level: string) => (message: string, facts?: unknown) =>
    void log.push({ level, message, facts: facts as Logged['facts'] });
  const counts = { runs: 0, replays: 0 };
  const idempotency = createIdempotency<Context>({
    scope: ({ user }) => user,
    postgres: url,
    redis: false,
    sweepInterval: 0,
    recoverInterval: 0,
    authorizeReplay: () => void (counts.replays += 1),
    logger: { info: logger('info'), warn: logger('warn'), error: logger('error') },
    ...options,
  });
  const resolve = (_: unknown, args: Call['args'], __: unknown, info: GraphQLResolveInfo): unknown => {
    counts.runs += 1;
    const current = idempotency.current(info);
    return leases.during(Object.assign(Object.create(current) as CurrentAttempt, { current, args, info }));
  };
  const schema = idempotency.applyTo(
    makeExecutableSchema({
      typeDefs: [idempotency.typeDefs, SDL.replace('MOVED', movedMode)],
      resolvers: { Mutation: Object.fromEntries(fields.map((field) => [field, resolve])) },
    }),
  );
  const identity = (key: string): Buffer => identityOf({ namespace: '', scope: 'alice', key: key as Key });

  const leases: Leases = {
    url,
    idempotency,
    schema,
    log,
    during: () => 'done',
    counts,
    async call(field, key, args = {}) {
      const { data, errors } = await execute({
        schema,
        document: documents[key === undefined ? 'keyless' : 'keyed'][field],
        variableValues: { k: key, ...args },
        contextValue: { user: 'alice' },
      });
      return { value: data?.[field], error: errors?.[0], code: errors?.[0]?.extensions['code'] };
    },
    row: async (key) =>
      (await own.query('select * from graphql_idempotency.record where identity = $1', [identity(key)]))
        .rows[0] as Row | undefined,
    steps: async (key) =>
      (
        await own.query(
          'select name, outcome, attempt from graphql_idempotency.step where identity = $1 order by name',
          [identity(key)],
        )
      ).rows,
    async takeOver(key) {
      await own.query(
        `update graphql_idempotency.record set fence = fence # 1, state = 'pending', attempt = attempt + 1,
         lease_until = clock_timestamp() + interval '1 hour' where identity = $1`,
        [identity(key)],
      );
    },
    async lapse(key) {
      await own.query(
        `update graphql_idempotency.record set lease_until = clock_timestamp() - interval '1 second'
         where identity = $1 and state = 'pending'`,
        [identity(key)],
      );
    },
    identity,
    sql: (text, values) => own.query(text, values),
    effects: async () =>
      (await own.query<{ name: string }>('select name from effects order by id')).rows.map(
        ({ name }) => name,
      ),
  };
  endings.push(async () => {
    await idempotency.close();
    await own.end();
  });
  return leases;
}

const documents = {
  keyed: perField(
    (field) =>
      `mutation ($k: String!, $n: Int, $payload: Any) { ${field}(n: $n, payload: $payload) @idempotent(key: $k) }`,
  ),
  keyless: perField((field) => `mutation ($n: Int, $payload: Any) { ${field}(n: $n, payload: $payload) }`),
};

function perField(write: (field: Field) => string) {
  return Object.fromEntries(fields.map((field) => [field, parse(write(field))])) as Record<
    Field,
    ReturnType<typeof parse>
  >;
}

/** Throws it, wherever an expression must stand. */
export function raise(error: unknown): never {
  throw error;
}

/** What has to come back as it went. */
export const storable: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['undefined', undefined],
  ['zero', 0],
  ['minus zero', -0],
  ['NaN', Number.NaN],
  ['false', false],
  ['empty text', ''],
  ['text with NUL and quotes', `a\u0000'"\\b`],
  ['an empty list', []],
  ['an empty object', {}],
  ['a bigint', 2n ** 70n],
  ['a date', new Date(86_400_000)],
  ['bytes', Buffer.from([0, 255, 10])],
  ['a map', new Map([['a', { b: [1n] }]])],
  ['a set', new Set([1, 'a'])],
  ['a URL', new URL('https://example.com/?a=1')],
  ['a typed array', new Uint16Array([1, 65_535])],
  ['undefined in objects', { a: undefined, b: [undefined] }],
];

const endings: (() => Promise<void>)[] = [];
afterAll(async () => {
  await Promise.all(endings.map((end) => end()));
});
