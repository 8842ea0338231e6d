/** The guard on a schema of its own: `applyTo`, and graphql's own `execute`. */

import { makeExecutableSchema } from '@graphql-tools/schema';
import { execute, parse } from 'graphql';
import type { ExecutionResult, GraphQLResolveInfo, GraphQLSchema } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency, RequestKeys } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { deferred } from '../support/signal.ts';

interface Context {
  readonly user: string;
  readonly keys?: RequestKeys;
}
interface AddArguments {
  readonly n: number;
}

let own: pg.Pool;
let databaseUrl: string;
let idempotency: Idempotency<Context>;
let schema: GraphQLSchema;
let during: (info: GraphQLResolveInfo) => unknown;
let added: number[] = [];

const SDL = `
  type Query { ping: String }
  type Sum { n: Int, inner: String }
  type Mutation { add(n: Int!): Sum @idempotent  plain: String }
`;

beforeAll(async () => {
  databaseUrl = (await createDatabase({ migrated: true })).url;
  own = new pg.Pool({ connectionString: databaseUrl });
  await own.query('create table sums (n int)');
  idempotency = createIdempotency<Context>({
    scope: ({ user }) => user,
    requestKeys: ({ keys }) => keys ?? {},
    postgres: databaseUrl,
    redis: false,
    sweepInterval: 0,
    logger: { info() {}, warn() {}, error() {} },
  });
  schema = idempotency.applyTo(build());
});
beforeEach(() => {
  during = () => {};
  added = [];
});
afterAll(async () => {
  await idempotency.close();
  await own.end();
});

function build(): GraphQLSchema {
  return makeExecutableSchema({
    typeDefs: [idempotency.typeDefs, SDL],
    resolvers: {
      Sum: {
        inner: (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) =>
          idempotency.current(info).deriveKey('x'),
      },
      Mutation: {
        plain: (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) =>
          idempotency.current(info).key,
        add: async (_: unknown, { n }: AddArguments, __: unknown, info: GraphQLResolveInfo) => {
          added.push(n);
          await during(info);
          await idempotency.current(info).tx.query('insert into sums values ($1)', [n]);
          return { n };
        },
      },
    },
  });
}

const document = parse('mutation ($n: Int!, $k: String!) { add(n: $n) @idempotent(key: $k) { n } }');
const bare = parse('mutation ($n: Int!) { add(n: $n) { n } }');

function run(
  options: Partial<Context> & {
    readonly n?: number;
    readonly k?: string;
    readonly document?: typeof document;
  },
): Promise<ExecutionResult> {
  const { n = 1, k, user = 'alice', keys } = options;
  return Promise.resolve(
    execute({
      schema,
      document: options.document ?? (k === undefined ? bare : document),
      variableValues: { n, k },
      contextValue: { user, ...(keys === undefined ? {} : { keys }) },
    }),
  );
}

const codeOf = ({ errors }: ExecutionResult): unknown => errors?.[0]?.extensions['code'];

test('a call executes once and replays, without a server', async () => {
  expect(await run({ k: 'once' })).toEqual({ data: { add: { n: 1 } } });
  expect(await run({ k: 'once' })).toEqual({ data: { add: { n: 1 } } });
  expect(codeOf(await run({ k: 'once', n: 2 }))).toBe('IDEMPOTENCY_KEY_REUSED');
  expect(added).toEqual([1]);
});

test('one document executed with different variables at once is as many calls', async () => {
  const goOn = deferred();
  const all = deferred();
  during = async () => {
    if (added.length === 5) all.resolve();
    await goOn.promise;
  };
  const running = Promise.all([1, 2, 3, 4, 5].map((n) => run({ n, k: `shared-document-${n}` })));
  await all.promise;
  const duplicate = await run({ n: 1, k: 'shared-document-1' });
  goOn.resolve();
  expect(codeOf(duplicate)).toBe('IDEMPOTENCY_IN_PROGRESS');
  expect((await running).map(({ data }) => (data as { add: { n: number } }).add.n)).toEqual([1, 2, 3, 4, 5]);
  expect(await run({ n: 3, k: 'shared-document-3' })).toEqual({ data: { add: { n: 3 } } });
  expect(added).toHaveLength(5);
});

test('one object of variables, changed between two executions, is read by each as it was', async () => {
  const variableValues = { n: 1, k: 'variables-1' };
  const first = execute({ schema, document, variableValues, contextValue: { user: 'alice' } });
  Object.assign(variableValues, { n: 2, k: 'variables-2' });
  const second = execute({ schema, document, variableValues, contextValue: { user: 'alice' } });
  Object.assign(variableValues, { n: 3, k: 'variables-3' });
  expect([await first, await second].map(({ data }) => data)).toEqual([{ add: { n: 1 } }, { add: { n: 2 } }]);
  expect(await run({ n: 1, k: 'variables-1' })).toEqual({ data: { add: { n: 1 } } });
  expect(added.toSorted((a, b) => a - b)).toEqual([1, 2]);
});

describe('requestKeys', () => {
  test('says where the keys of a request are', async () => {
    expect(codeOf(await run({}))).toBe('IDEMPOTENCY_KEY_MISSING');
    await run({ keys: { header: 'from-header' } });
    await run({ keys: { header: '"from-header"' } });
    await run({ keys: { extension: 'from-header' } });
    await run({ k: 'from-header' });
    expect(added).toEqual([1]);
  });

  test.each<readonly [string, RequestKeys, string]>([
    ['several headers', { header: ['a', 'a'] }, 'IDEMPOTENCY_KEY_INVALID'],
    ['an extension of another type', { extension: 7 }, 'IDEMPOTENCY_KEY_INVALID'],
    ['sources that disagree', { extension: 'a', header: 'b' }, 'IDEMPOTENCY_KEY_CONFLICT'],
    ['no header among several', { header: [] }, 'IDEMPOTENCY_KEY_MISSING'],
  ])('is held to the same rules: %s', async (_what, keys, code) => {
    expect(codeOf(await run({ keys }))).toBe(code);
    expect(added).toEqual([]);
  });
});

describe('current(info)', () => {
  test.each([
    ['in an unguarded mutation', 'mutation { plain }'],
    [
      'in a nested resolver of a replay',
      'mutation { add(n: 1) @idempotent(key: "nested-replay") { inner } }',
    ],
  ])('throws %s', async (_where, query) => {
    await run({ k: 'nested-replay' });
    const { errors } = await run({ document: parse(query) });
    expect(errors?.[0]?.message).toMatch(/is not inside a guarded field/);
  });

  test('knows the key, the attempt, and derives keys that are the same in every attempt', async () => {
    const seen: unknown[] = [];
    during = (info) => {
      const { key, attempt, deriveKey } = idempotency.current(info);
      seen.push({ key, attempt, derived: [deriveKey('card'), deriveKey('mail')] });
      if (seen.length < 3) throw new Error('again');
    };
    for (let n = 0; n < 3; n += 1) await run({ k: 'derived' });
    await run({ k: 'derived', user: 'bob' });
    await run({ k: 'derived-too' });
    const [first, second, third, ofBob, ofAnother] = seen as {
      key: string;
      attempt: number;
      derived: string[];
    }[];
    expect(first).toEqual({ key: 'derived', attempt: 1, derived: [expect.any(String), expect.any(String)] });
    expect([second, third]).toEqual([first, first]);
    expect(new Set([first!, ofBob!, ofAnother!].flatMap(({ derived }) => derived)).size).toBe(6);
    for (const derived of first!.derived) expect(derived).toMatch(/^[\w-]{20,}$/);
  });
});

describe('applyTo', () => {
  test('applied twice by one instance changes nothing', async () => {
    const twice = build();
    const once = idempotency.applyTo(twice).getMutationType()!.getFields()['add']!.resolve;
    expect(idempotency.applyTo(twice).getMutationType()!.getFields()['add']!.resolve).toBe(once);
    const contextValue = { user: 'alice' };
    const variableValues = { n: 1, k: 'applied-twice' };
    expect(await execute({ schema: twice, document, variableValues, contextValue })).toEqual({
      data: { add: { n: 1 } },
    });
    // Another schema of the same instance knows the same keys.
    expect(await run({ k: 'applied-twice' })).toEqual({ data: { add: { n: 1 } } });
    expect(added).toEqual([1]);
  });

  test('applied by another instance is an error', () => {
    const other = createIdempotency<Context>({ scope: () => 'x', postgres: databaseUrl, redis: false });
    expect(() => other.applyTo(schema)).toThrow(/already guarded by another instance/);
  });
});

test('`await using` closes what a call opened', async () => {
  const url = new URL(databaseUrl);
  url.searchParams.set('application_name', 'await-using');
  const connections = async () =>
    (await own.query(`select 1 from pg_stat_activity where application_name = 'await-using'`)).rowCount;
  {
    await using mine = createIdempotency<Context>({
      scope: ({ user }) => user,
      postgres: url.href,
      redis: false,
      logger: { info() {}, warn() {}, error() {} },
    });
    const guarded = mine.applyTo(
      makeExecutableSchema({
        typeDefs: [mine.typeDefs, SDL],
        resolvers: { Mutation: { add: () => ({ n: 0 }) } },
      }),
    );
    await execute({
      schema: guarded,
      document,
      variableValues: { n: 1, k: 'used' },
      contextValue: { user: 'u' },
    });
    expect(await connections()).toBeGreaterThan(0);
  }
  await expect.poll(connections, { timeout: 10_000 }).toBe(0);
});
