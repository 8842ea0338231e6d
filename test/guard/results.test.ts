/** What is stored of a result, and what a replay makes of it. */

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Service } from '../support/service.ts';
import { expectRefusal } from '../apollo/refusal.ts';

interface Thing {
  readonly at: unknown;
  readonly big: unknown;
  readonly bytes: unknown;
  readonly map: unknown;
  readonly set: unknown;
}

let service: Service;
let own: pg.Pool;
let give: () => unknown;
let nested: () => unknown;
let runs = 0;
let keys = 0;
let key: string;

const show =
  (name: keyof Thing) =>
  (thing: Thing): string => {
    const value = thing[name];
    if (value instanceof Date) return `Date ${value.toISOString()}`;
    if (Buffer.isBuffer(value)) return `Buffer ${value.toString('hex')}`;
    if (value instanceof Map) return `Map ${JSON.stringify([...value])}`;
    if (value instanceof Set) return `Set ${JSON.stringify([...value])}`;
    return `${typeof value} ${String(value)}`;
  };

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  own = new pg.Pool({ connectionString: url });
  service = await startService({
    databaseUrl: url,
    options: { maxResultBytes: 5000 },
    typeDefs: `
      scalar Any
      type Thing { at: String big: String bytes: String map: String set: String nested: String self: Thing text: String }
      extend type Mutation {
        text: String @idempotent
        int: Int @idempotent
        bool: Boolean @idempotent
        list: [Int] @idempotent
        any: Any @idempotent
        thing: Thing @idempotent
      }
    `,
    resolvers: (idempotency) => {
      const run = async (
        _: unknown,
        __: unknown,
        ___: unknown,
        info: Parameters<typeof idempotency.current>[0],
      ) => {
        runs += 1;
        await idempotency.current(info).tx.query('insert into payments (amount) values (1)');
        return give();
      };
      return {
        Mutation: Object.fromEntries(
          ['text', 'int', 'bool', 'list', 'any', 'thing'].map((name) => [name, run]),
        ),
        Thing: {
          at: show('at'),
          big: show('big'),
          bytes: show('bytes'),
          map: show('map'),
          set: show('set'),
          nested: () => nested(),
        },
      };
    },
  });
});
beforeEach(() => {
  key = `results-${(keys += 1)}`;
  runs = 0;
  nested = () => 'nested';
});
afterAll(async () => {
  await service.stop();
  await own.end();
});

const send = (selection: string) => service.send({ key, query: `mutation { ${selection} }` });

test.each<readonly [string, string, unknown, unknown]>([
  ['null', 'text', null, null],
  ['undefined', 'text', undefined, null],
  ['an empty string', 'text', '', ''],
  ['zero', 'int', 0, 0],
  ['minus zero', 'int', -0, 0],
  ['false', 'bool', false, false],
  ['an empty list', 'list', [], []],
  ['a list of nothing', 'list', [null, undefined, 0], [null, null, 0]],
  ['an empty object', 'any', {}, {}],
  ['an object without a prototype', 'any', Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }],
  ['text with NUL and other controls', 'text', 'a\u0000b\u001f\u007f\u2028', 'a\u0000b\u001f\u007f\u2028'],
  ['text with lone surrogates', 'text', 'a\ud800b\udc00', 'a\ud800b\udc00'],
  ['text beyond the first plane', 'text', '😀 é e\u0301', '😀 é e\u0301'],
])('%s is a result like any other', async (_what, field, value, expected) => {
  give = () => value;
  const first = await send(field);
  give = () => 'another';
  const again = await send(field);
  expect(first.body.data[field]).toEqual(expected);
  expect(JSON.stringify(again.body.data)).toBe(JSON.stringify(first.body.data));
  expect(again.headers.get('idempotent-replayed')).toBe('true');
  expect(runs).toBe(1);
});

test('a replay gives nested resolvers what the first call gave them', async () => {
  give = () => ({
    at: new Date(86_400_000),
    big: 2n ** 70n,
    bytes: Buffer.from('a\u0000b'),
    map: new Map([['a', 1]]),
    set: new Set([1, 2]),
  });
  const first = await send('thing { at big bytes map set }');
  const again = await send('thing { at big bytes map set }');
  expect(first.body.data.thing).toEqual({
    at: 'Date 1970-01-02T00:00:00.000Z',
    big: `bigint ${2n ** 70n}`,
    bytes: 'Buffer 610062',
    map: 'Map [["a",1]]',
    set: 'Set [1,2]',
  });
  expect(again.body.data).toEqual(first.body.data);
  expect(again.headers.get('idempotent-replayed')).toBe('true');
});

test('a result that refers to itself replays as one that does', async () => {
  give = () => {
    const thing: Record<string, unknown> = { text: 'loop' };
    thing['self'] = thing;
    return thing;
  };
  const query = 'thing { self { self { text } } }';
  expect((await send(query)).body.data).toEqual({ thing: { self: { self: { text: 'loop' } } } });
  expect((await send(query)).body.data).toEqual({ thing: { self: { self: { text: 'loop' } } } });
  expect(runs).toBe(1);
});

test('what nested resolvers do to a result is not done to the stored one', async () => {
  give = () => ({ text: 'first', at: [] });
  nested = () => 'today';
  const first = await send('thing { nested text }');
  expect(first.body.data.thing).toEqual({ nested: 'today', text: 'first' });
  nested = () => 'tomorrow';
  expect((await send('thing { nested text }')).body.data.thing).toEqual({
    nested: 'tomorrow',
    text: 'first',
  });
  expect(runs).toBe(1);
});

test('a nested field that fails after the commit undoes nothing, and a retry may select around it', async () => {
  give = () => ({ text: 'done' });
  nested = () => {
    throw new Error('not now');
  };
  const payments = (await service.payments()).length;
  const first = await send('thing { text nested }');
  expect(first.body.data).toEqual({ thing: { text: 'done', nested: null } });
  expect(first.body.extensions.idempotency.thing.outcome).toBe('executed');
  const around = await send('thing { text }');
  expect(around.body).toMatchObject({ data: { thing: { text: 'done' } } });
  expect(around.body.errors).toBeUndefined();
  nested = () => 'now';
  expect((await send('thing { nested }')).body.data).toEqual({ thing: { nested: 'now' } });
  expect(runs).toBe(1);
  expect((await service.payments()).length).toBe(payments + 1);
});

describe('a result that cannot be stored is rolled back, and once mended, a retry executes:', () => {
  class Account {
    readonly balance = 1;
  }
  test.each<readonly [string, () => unknown, string, RegExp]>([
    [
      'a function',
      () => () => 1,
      'UNSERIALIZABLE',
      /Mutation\.any: result cannot be stored: it is a function/,
    ],
    ['a function within', () => ({ a: [{ b: () => 1 }] }), 'UNSERIALIZABLE', /result\.a\[0\]\.b/],
    [
      'an instance of a class',
      () => ({ account: new Account() }),
      'UNSERIALIZABLE',
      /result\.account.*Account/,
    ],
    ['a subclass of Map', () => new (class Cache extends Map {})(), 'UNSERIALIZABLE', /Cache/],
    ['an error within', () => [new Error('x')], 'UNSERIALIZABLE', /result\[0\].*Error/],
    ['a promise within', () => ({ later: Promise.resolve(1) }), 'UNSERIALIZABLE', /result\.later.*promise/],
    ['a symbol', () => ({ s: Symbol('s') }), 'UNSERIALIZABLE', /result\.s/],
    // It would come back as a prototype.
    ['a key named __proto__', () => JSON.parse('{"a":{"__proto__":{}}}'), 'UNSERIALIZABLE', /result\.a/],
    ['a weak map', () => new WeakMap(), 'UNSERIALIZABLE', /WeakMap/],
    [
      'a getter that throws',
      () => ({
        get a() {
          throw new Error('secret of the getter');
        },
      }),
      'UNSERIALIZABLE',
      /reading it failed/,
    ],
    [
      'nesting that overflows',
      () => {
        let deep: unknown[] = [];
        for (let n = 0; n < 200_000; n += 1) deep = [deep];
        return deep;
      },
      'UNSERIALIZABLE',
      /nested too deeply/,
    ],
    ['more than maxResultBytes', () => 'x'.repeat(5001), 'TOO_LARGE', /maxResultBytes \(5000\)/],
    ['more bytes than characters', () => 'é'.repeat(3000), 'TOO_LARGE', /maxResultBytes/],
  ])('%s', async (_what, value, code, message) => {
    const before = [(await service.payments()).length, await service.records()];
    give = value;
    const first = await send('any');
    expectRefusal(first, `RESULT_${code}` as 'RESULT_TOO_LARGE', 500);
    expect(first.body.errors[0].message).toMatch(message);
    expect(JSON.stringify(first.body)).not.toMatch(/secret/);
    expect([(await service.payments()).length, await service.records()]).toEqual(before);
    give = () => 'mended';
    const again = await send('any');
    expect(again.body.extensions.idempotency.any.outcome).toBe('executed');
    expect(runs).toBe(2);
    expect((await service.payments()).length).toBe(before[0]! + 1);
  });
});

describe('a row that this build cannot read never executes again:', () => {
  test.each([
    ['its body is not what was written', `body = 'garbage'`, 'RECORD_UNREADABLE', 500],
    ['its body is cut off', 'body = substring(body from 1 for 3)', 'RECORD_UNREADABLE', 500],
    ['its body is empty', `body = ''`, 'RECORD_UNREADABLE', 500],
    ['it is an error that has no form of one', `outcome = 'error'`, 'RECORD_UNREADABLE', 500],
    ['a newer build encoded it', 'codec_version = 99', 'STORE_UNAVAILABLE', 503],
    ['a newer build fingerprinted it', 'fingerprint_version = 99', 'STORE_UNAVAILABLE', 503],
    ['it is encrypted', `encryption_key_id = 'k1'`, 'STORE_UNAVAILABLE', 503],
    ['its body was erased', 'body = null', 'KEY_EXPIRED', 410],
    ['its result was omitted', `outcome = 'omitted', body = null`, 'RESULT_OMITTED', 500],
  ] as const)('%s', async (_what, change, code, status) => {
    give = () => 'written';
    await send('text');
    const { rowCount } = await own.query(
      `update graphql_idempotency.record set ${change} where completed_at = (select max(completed_at) from graphql_idempotency.record)`,
    );
    expect(rowCount).toBe(1);
    expectRefusal(await send('text'), code, status);
    expectRefusal(await send('text'), code, status);
    expect(runs).toBe(1);
  });
});
