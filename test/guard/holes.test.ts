/** What other libraries for idempotent requests got wrong, as properties of this one. */

import { makeExecutableSchema } from '@graphql-tools/schema';
import { createIdempotency } from 'graphql-idempotency';
import { parse } from 'graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';
import { deferred, eventually } from '../support/signal.ts';
import { sendAndForget } from '../apollo/raw-http.ts';
import { expectRefusal } from '../apollo/refusal.ts';

interface JsonArguments {
  readonly value: Record<string, unknown>;
}

const silent = { info() {}, warn() {}, error() {} };

let databaseUrl: string;
let service: Service;
let act: (call: PayCall) => unknown;
let keys = 0;
let key: string;

beforeAll(async () => {
  databaseUrl = (await createDatabase({ migrated: true })).url;
  service = await startService({
    databaseUrl,
    pay: (call) => act(call),
    typeDefs: 'scalar Json extend type Mutation { keep(value: Json): Json @idempotent }',
    resolvers: () => ({
      Mutation: {
        keep: (_: unknown, { value }: JsonArguments) => {
          for (const name of Object.keys(value)) delete value[name];
          return 'kept';
        },
      },
    }),
  });
});
beforeEach(() => {
  key = `holes-${(keys += 1)}`;
  act = ({ insert }) => insert();
});
afterAll(() => service.stop());

const outcomeOf = ({ body }: Awaited<ReturnType<Service['send']>>): string | undefined =>
  body.extensions?.idempotency.pay.outcome;

/** Makes the resolver wait; `reached` resolves when it does. */
function holdResolver() {
  const [reached, goOn] = [deferred(), deferred()];
  act = async ({ insert }) => {
    reached.resolve();
    await goOn.promise;
    return insert();
  };
  return { reached: reached.promise, goOn: () => goOn.resolve() };
}

test('H2: a client that disconnects leaves no key in progress', async () => {
  const { reached, goOn } = holdResolver();
  const request = sendAndForget(service.url, {
    headers: [['idempotency-key', key]],
    body: { query: 'mutation { pay(amount: 100) { id } }' },
  });
  await reached;
  request.destroy();
  const runs = service.runs();
  goOn();
  await eventually(async () => outcomeOf(await service.send({ key })) === 'replayed');
  expect(service.runs()).toBe(runs);
});

test('H5: duplicates that are refused end nothing of the attempt under way', async () => {
  const other = await startService({ databaseUrl });
  try {
    const { reached, goOn } = holdResolver();
    const runs = service.runs();
    const first = service.send({ key });
    await reached;
    for (let round = 0; round < 2; round += 1) {
      expectRefusal(await service.send({ key }), 'IN_PROGRESS', 409);
      expectRefusal(await service.send({ key, variables: { amount: 5 } }), 'IN_PROGRESS', 409);
      expectRefusal(await other.send({ key }), 'IN_PROGRESS', 409);
    }
    goOn();
    expect(outcomeOf(await first)).toBe('executed');
    expect(outcomeOf(await other.send({ key }))).toBe('replayed');
    expect(service.runs() + other.runs()).toBe(runs + 1);
  } finally {
    await other.stop();
  }
});

describe('H6: no path reaches a guarded resolver without a claim', () => {
  function build(query: string) {
    let ran = 0;
    const idempotency = createIdempotency({
      scope: () => 'x',
      postgres: databaseUrl,
      redis: false,
      logger: silent,
    });
    const schema = makeExecutableSchema({
      typeDefs: [
        idempotency.typeDefs,
        `${query} interface Root { add: Int } type Mutation implements Root { add: Int @idempotent }`,
      ],
      resolvers: { Root: { __resolveType: () => 'Mutation' }, Mutation: { add: () => (ran += 1) } },
    });
    return { schema, apply: () => idempotency.applyTo(schema), ran: () => ran };
  }

  test.each(['Mutation', 'Root', '[Mutation!]!'])('not by way of a field that returns %s', (type) => {
    const { apply } = build(`type Query { again: ${type} }`);
    expect(apply).toThrow(/Query\.again: can return Mutation/);
  });

  test('not by way of a resolver that is called with an operation that does not hold it', async () => {
    const { schema, apply, ran } = build('type Query { ping: Int }');
    apply();
    const info = {
      schema,
      operation: parse('mutation { other: add @idempotent(key: "k") }').definitions[0],
      fragments: {},
      variableValues: {},
      fieldName: 'add',
      parentType: schema.getMutationType(),
      path: { key: 'add', prev: undefined, typename: 'Mutation' },
    } as unknown as GraphQLResolveInfo;
    const resolving = schema.getMutationType()!.getFields()['add']!.resolve!({}, {}, {}, info);
    await expect(resolving).rejects.toMatchObject({ extensions: { code: 'IDEMPOTENCY_STORE_UNAVAILABLE' } });
    expect(ran()).toBe(0);
  });
});

test('H8: what a resolver does to its arguments changes neither its record nor the next field', async () => {
  const query =
    'mutation ($v: Json, $a: String!, $b: String!) { a: keep(value: $v) @idempotent(key: $a) b: keep(value: $v) @idempotent(key: $b) }';
  const send = () =>
    service.send({ query, variables: { v: { x: 1, y: [2] }, a: `${key}-a`, b: `${key}-b` } });
  expect((await send()).body.extensions.idempotency).toEqual({
    a: { outcome: 'executed' },
    b: { outcome: 'executed' },
  });
  expect((await send()).body.extensions.idempotency).toEqual({
    a: { outcome: 'replayed' },
    b: { outcome: 'replayed' },
  });
});

test('H9: there is no default scope, and an answer is replayed only to requests that are valid', async () => {
  expect(() => createIdempotency({ postgres: databaseUrl } as unknown as { scope: () => string })).toThrow(
    /`scope` is required/,
  );
  await service.send({ key });
  const reply = await service.send({ key, query: 'mutation { pay(amount: 100) { id secret } }' });
  expect(reply.code).toBe('GRAPHQL_VALIDATION_FAILED');
});

test.each([
  ['the order of keys', '{"a":1,"b":{"c":2,"d":3}}', '{"b":{"d":3,"c":2},"a":1}', 'replayed'],
  ['keys named __proto__', '{"__proto__":{"a":1}}', '{"__proto__":{"a":2}}', 'reused'],
  ['a key named __proto__ and none', '{"__proto__":{"a":1}}', '{}', 'reused'],
  ['a number and its text', '{"a":1}', '{"a":"1"}', 'reused'],
  ['nothing and null', '{}', '{"a":null}', 'reused'],
  ['where one text ends and the next begins', '{"a":["b","c"]}', '{"a":["b\\",\\"c"]}', 'reused'],
  ['an empty list and an empty object', '{"a":[]}', '{"a":{}}', 'reused'],
  ['letters in another case', '{"a":"A"}', '{"a":"a"}', 'reused'],
])('H10: fingerprints neither collide nor differ without need: %s', async (_what, one, other, expected) => {
  const body = (value: string): string =>
    `{"query":"mutation ($v: Json) { keep(value: $v) }","variables":{"v":${value}}}`;
  const send = (value: string) => service.post(body(value), { 'idempotency-key': key });
  expect((await send(one)).body.errors).toBeUndefined();
  const second = await send(other);
  expect(
    second.code === 'IDEMPOTENCY_KEY_REUSED' ? 'reused' : second.body.extensions.idempotency.keep.outcome,
  ).toBe(expected);
});

test('H11: two clients with the same body and keys of their own run at once', async () => {
  const { reached, goOn } = holdResolver();
  const first = service.send({ key: `${key}-1` });
  await reached;
  act = ({ insert }) => insert();
  expect(outcomeOf(await service.send({ key: `${key}-2` }))).toBe('executed');
  goOn();
  expect(outcomeOf(await first)).toBe('executed');
});
