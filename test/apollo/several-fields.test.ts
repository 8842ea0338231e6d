/** Operations with several root fields: which field a key is for, what runs, and what the response says. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { GraphQLResolveInfo } from 'graphql';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { SendOptions, Service } from '../support/service.ts';
import { expectRefusal } from './refusal.ts';

let service: Service;
const ran: string[] = [];
let keys = 0;
const key = (): string => `k${(keys += 1)}`;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    pay: async ({ args, info, insert, tx }) => {
      ran.push(String(info.path.key));
      const payment = await insert();
      if (args.amount < 0) throw new Error('no money back');
      const { rows } = await tx.query<{ id: string }>('select pg_current_xact_id()::text as id');
      return { ...payment, note: rows[0]!.id };
    },
    typeDefs: `
      extend type Mutation {
        must(amount: Int!): Payment! @idempotent
        plain(note: String): String
        optional: String @idempotent(required: false)
      }
    `,
    resolvers: () => {
      const run = (value: unknown) => (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) => {
        ran.push(String(info.path.key));
        return value;
      };
      return {
        Mutation: { must: run({ id: '1', amount: 1 }), plain: run('plain'), optional: run('optional') },
      };
    },
  });
});
beforeEach(() => void ran.splice(0));
afterAll(() => service.stop());

const pay = (alias: string, own?: string, amount = 1): string =>
  `${alias}: pay(amount: ${amount}) ${own === undefined ? '' : `@idempotent(key: "${own}")`} { id note }`;

describe('which field a key is for', () => {
  test.each<readonly [string, string, SendOptions]>([
    ['a header for two fields', 'KEY_AMBIGUOUS', { query: `mutation { ${pay('a')} ${pay('b')} }`, key: 'h' }],
    [
      'an extension for two fields',
      'KEY_AMBIGUOUS',
      { query: `mutation { ${pay('a')} ${pay('b')} }`, extensions: { idempotencyKey: 'h' } },
    ],
    [
      'a header beside own keys',
      'KEY_AMBIGUOUS',
      { query: `mutation { ${pay('a', 'x')} ${pay('b', 'y')} }`, key: 'x' },
    ],
    [
      'a header where another field may do without',
      'KEY_AMBIGUOUS',
      { query: `mutation { ${pay('a')} optional }`, key: 'h' },
    ],
    ['one key on two fields', 'KEY_CONFLICT', { query: `mutation { ${pay('a', 'x')} ${pay('b', 'x')} }` }],
    [
      'one key on two different fields',
      'KEY_CONFLICT',
      { query: `mutation { ${pay('a', 'x')} must(amount: 1) @idempotent(key: "x") { id } }` },
    ],
    ['no key on one of two fields', 'KEY_MISSING', { query: `mutation { ${pay('a', 'x')} ${pay('b')} }` }],
    ['a key on an unguarded field', 'KEY_UNSUPPORTED', { query: 'mutation { plain @idempotent(key: "x") }' }],
    [
      'a key on an unguarded field that is skipped',
      'KEY_UNSUPPORTED',
      { query: `mutation { plain @idempotent(key: "x") @skip(if: true) ${pay('a', 'y')} }` },
    ],
    [
      'a key on a nested field',
      'KEY_UNSUPPORTED',
      { query: 'mutation { pay(amount: 1) { id @idempotent(key: "x") } }', key: 'h' },
    ],
    [
      'a key on a nested field of an unguarded operation',
      'KEY_UNSUPPORTED',
      { query: 'mutation { plain ...F } fragment F on Mutation { plain __typename @idempotent(key: "x") }' },
    ],
    ['a key in a query', 'KEY_UNSUPPORTED', { query: '{ ping @idempotent(key: "x") }' }],
    [
      'a key in a query by way of a fragment',
      'KEY_UNSUPPORTED',
      { query: '{ ...F } fragment F on Query { ping @idempotent(key: "x") }' },
    ],
    [
      'one malformed key among good ones',
      'KEY_INVALID',
      { query: `mutation { ${pay('a', 'x')} ${pay('b', 'not good')} }` },
    ],
    ['one missing key behind unguarded fields', 'KEY_MISSING', { query: `mutation { plain ${pay('a')} }` }],
  ])('%s is refused as %s before anything runs', async (_what, code, sent) => {
    const records = await service.records();
    const reply = await service.send(sent);
    expectRefusal(reply, code as 'KEY_MISSING', 400);
    expect(ran).toEqual([]);
    expect(await service.records()).toBe(records);
  });

  test('more guarded fields than the limit are refused, before anything runs', async () => {
    const aliases = Array.from({ length: 100 }, (_, n) => pay(`a${n}`, `many-${n}`));
    expectRefusal(
      await service.send({ query: `mutation { ${aliases.join(' ')} }` }),
      'PAYLOAD_TOO_LARGE',
      413,
    );
    expect(ran).toEqual([]);
  });

  test('what @skip and @include leave out counts for nothing', async () => {
    const query = `mutation ($no: Boolean!) {
      ${pay('a')} b: pay(amount: 1) @skip(if: $no) { id } ... @include(if: false) { ${pay('c', 'not good')} } ...F @skip(if: $no)
    } fragment F on Mutation { ${pay('d')} }`;
    const sent = { query, key: key(), variables: { no: true } };
    expect((await service.send(sent)).status).toBe(200);
    expect((await service.send(sent)).headers.get('idempotent-replayed')).toBe('true');
    expect(ran).toEqual(['a']);
    expectRefusal(await service.send({ ...sent, variables: { no: false } }), 'KEY_AMBIGUOUS', 400);
  });

  test('a field that a fragment repeats is one field', async () => {
    const query = `mutation { ${pay('a')} ...F ...F ... on Mutation { a: pay(amount: 1) { amount } } }
      fragment F on Mutation { a: pay(amount: 1) { id } }`;
    const reply = await service.send({ query, key: key() });
    expect(Object.keys(reply.body.data.a).toSorted()).toEqual(['amount', 'id', 'note']);
    expect(ran).toEqual(['a']);
  });

  test('an operation key beside unguarded fields is for the guarded one', async () => {
    const sent = { query: `mutation { plain ${pay('a')} p: plain }`, key: key() };
    const first = await service.send(sent);
    const again = await service.send(sent);
    expect(again.body.data).toEqual(first.body.data);
    // What is not guarded runs again; the mark speaks of guarded fields.
    expect(ran).toEqual(['plain', 'a', 'p', 'plain', 'p']);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.body.extensions.idempotency).toEqual({ a: { outcome: 'replayed' } });
  });

  test('an operation key without a guarded field is ignored', async () => {
    const sent = { query: 'mutation { plain }', key: 'not even: valid,' };
    expect((await service.send(sent)).body).toEqual({ data: { plain: 'plain' } });
    expect((await service.send(sent)).headers.get('idempotent-replayed')).toBeNull();
    expect(ran).toEqual(['plain', 'plain']);
    expect((await service.send({ query: '{ ping }', key: 'k' })).body).toEqual({ data: { ping: 'pong' } });
  });

  test('keys in an operation that is not asked for are ignored', async () => {
    const query = 'mutation Good { plain } mutation Bad { plain @idempotent(key: "x") }';
    const reply = await service.post({ query, operationName: 'Good' });
    expect(reply.body).toEqual({ data: { plain: 'plain' } });
  });
});

describe('each guarded field is its own transaction', () => {
  test('and its own record', async () => {
    const query = `mutation { ${pay('a', key())} ${pay('b', key())} }`;
    const first = await service.send({ query });
    expect(first.body.data.a.note).not.toBe(first.body.data.b.note);
    expect(first.body.extensions.idempotency).toEqual({
      a: { outcome: 'executed' },
      b: { outcome: 'executed' },
    });
    const again = await service.send({ query });
    expect(again.body.data).toEqual(first.body.data);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(ran).toEqual(['a', 'b']);
  });

  test('so one that throws takes nothing from the others', async () => {
    const payments = (await service.payments()).length;
    const query = `mutation { ${pay('a', key())} ${pay('b', key(), -1)} ${pay('c', key())} }`;
    const first = await service.send({ query });
    expect(first.status).toBe(200);
    expect(first.body.data).toEqual({ a: expect.anything(), b: null, c: expect.anything() });
    const again = await service.send({ query });
    expect(again.body.data).toEqual(first.body.data);
    expect(ran).toEqual(['a', 'b', 'c', 'b']);
    // The field that failed was executed again, so the response as a whole is no replay.
    expect(again.headers.get('idempotent-replayed')).toBeNull();
    expect((await service.payments()).length).toBe(payments + 2);
  });
});

describe('a refusal of some of the fields', () => {
  async function used(): Promise<string> {
    const own = key();
    await service.send({ query: `mutation { ${pay('a', own, 77)} }` });
    ran.splice(0);
    return own;
  }

  test.each(['application/json', 'application/graphql-response+json'])(
    'keeps the data of the others, and 2xx, as %s',
    async (accept) => {
      const query = `mutation { ${pay('a', await used())} ${pay('b', key())} }`;
      const reply = await service.send({ query, headers: { accept } });
      expect(reply.status).toBe(200);
      expect(reply.headers.get('content-type')).toContain(accept);
      expect(reply.body.data).toEqual({ a: null, b: expect.anything() });
      expect(reply.body.errors).toEqual([
        expect.objectContaining({
          path: ['a'],
          extensions: { code: 'IDEMPOTENCY_KEY_REUSED', retryable: false },
        }),
      ]);
      expect(ran).toEqual(['b']);
    },
  );

  test('keeps the mark of a replay away', async () => {
    const own = key();
    const replayed = pay('b', own);
    await service.send({ query: `mutation { ${replayed} }` });
    const reply = await service.send({ query: `mutation { ${replayed} ${pay('a', await used())} }` });
    expect(reply.body.extensions.idempotency).toEqual({ b: { outcome: 'replayed' } });
    expect(reply.headers.get('idempotent-replayed')).toBeNull();
  });

  test('keeps the mark of a replay away where a field ran without a key', async () => {
    const replayed = pay('b', key());
    await service.send({ query: `mutation { ${replayed} }` });
    const reply = await service.send({ query: `mutation { ${replayed} optional }` });
    expect(reply.body.data.optional).toBe('optional');
    expect(reply.headers.get('idempotent-replayed')).toBeNull();
  });

  test('that must not be null leaves no data, and the fields before it stay done', async () => {
    const [one, three] = [key(), key()];
    const bad = await used();
    const query = (second: string): string =>
      `mutation { ${pay('a', one)} must(amount: 1) @idempotent(key: "${second}") { id } ${pay('c', three)} }`;
    const reply = await service.send({ query: query(bad) });
    expect(reply.body.data).toBeNull();
    expect(reply.code).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(reply.body.extensions.idempotency).toEqual({ a: { outcome: 'executed' } });
    expect(ran).toEqual(['a']);
    const again = await service.send({ query: query(key()) });
    expect(again.body.data).toEqual({ a: expect.anything(), must: { id: '1' }, c: expect.anything() });
    expect(ran).toEqual(['a', 'must', 'c']);
  });

  test('and wrong arguments of the others are both told', async () => {
    const query = `mutation ($n: Int = 1) { a: pay(amount: $n) @idempotent(key: "${key()}") { id } ${pay('b', await used())} }`;
    const reply = await service.send({ query, variables: { n: null } });
    expect(reply.body.errors).toHaveLength(2);
    expect(reply.body.errors.map((error: { path: string[] }) => error.path)).toEqual([['a'], ['b']]);
    expect(ran).toEqual([]);
  });

  test('and of all the others leaves no data, and the highest status', async () => {
    const query = `mutation { ${pay('a', await used())} must(amount: 1) @idempotent(key: "${await used()}") { id } }`;
    const reply = await service.send({ query });
    expect(reply.status).toBe(422);
    expect(reply.body).not.toHaveProperty('data');
    expect(reply.body.errors.map((error: { path: string[] }) => error.path)).toEqual([['a'], ['must']]);
    expect(ran).toEqual([]);
  });
});
