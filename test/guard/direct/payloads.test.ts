/** Which payloads of `guard()` are the same, which differ, and which cannot be compared. */

import fc from 'fast-check';
import type { GuardAnswer } from 'graphql-idempotency';
import { beforeAll, describe, expect, test } from 'vitest';
import { codeOf, startCalls } from './calls.ts';
import type { Calls } from './calls.ts';

let calls: Calls;
let keys = 0;

beforeAll(async () => {
  calls = await startCalls();
});

const guard = (key: string, payload: unknown): Promise<GuardAnswer<string>> =>
  calls.idempotency.guard({ scope: 'alice', key, payload }, () => 'ran');

/** What a second call with the same key is told. */
async function again(first: unknown, second: unknown): Promise<unknown> {
  const key = `payload-${(keys += 1)}`;
  expect((await guard(key, first)).outcome).toBe('executed');
  const told = await codeOf(guard(key, second));
  return typeof told === 'string' ? told : (told as GuardAnswer<string>).outcome;
}

const nested = (depth: number): object => (depth === 0 ? {} : { in: nested(depth - 1) });

describe('the same', () => {
  test.each<readonly [string, unknown, unknown]>([
    ['keys in another order, however deep', { a: [{ x: 1, y: 2 }], b: 3 }, { b: 3, a: [{ y: 2, x: 1 }] }],
    ['a property that is undefined, and one that is missing', { a: 1, b: undefined }, { a: 1 }],
    ['undefined, and nothing', undefined, undefined],
    ['dates of one instant', { at: new Date(5) }, { at: new Date(5) }],
    ['a bigint', { n: 2n ** 80n }, { n: 2n ** 80n }],
    ['zero, and minus zero', 0, -0],
    ['a URL', new URL('https://a/b'), new URL('https://a/b')],
    ['bytes', Buffer.from('abc'), Buffer.from('abc')],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ['what JSON makes of it', { a: [1, 'x', null] }, JSON.parse('{"a":[1,"x",null]}')],
    ['thirty levels', nested(30), nested(30)],
  ])('%s', async (_what, first, second) => {
    expect(await again(first, second)).toBe('replayed');
  });
});

describe('another', () => {
  test.each<readonly [string, unknown, unknown]>([
    ['value', { a: 1 }, { a: 2 }],
    ['name', { a: 1 }, { b: 1 }],
    ['order of a list', [1, 2], [2, 1]],
    ['type: a number and its text', { a: 1 }, { a: '1' }],
    ['type: a number and a bigint', 1, 1n],
    ['type: a date and its text', new Date(0), new Date(0).toISOString()],
    ['type: a list of one and its element', [1], 1],
    ['type: an empty list and an empty object', [], {}],
    ['nothing: null and undefined', null, undefined],
    ['nothing: null and a property that is missing', { a: null }, {}],
    ['nothing: a list with undefined and one without', [undefined], []],
    ['depth: the payload within itself', { payload: { payload: 1 } }, { payload: 1 }],
    ['owner of a value', { a: { b: 1 }, c: {} }, { a: {}, c: { b: 1 } }],
    ['key that others take for a prototype', JSON.parse('{"__proto__":{"a":1}}'), {}],
  ])('%s', async (_what, first, second) => {
    expect(await again(first, second)).toBe('IDEMPOTENCY_KEY_REUSED');
  });
});

describe('refused, because it cannot be compared', () => {
  class Money {
    readonly cents = 5;
  }
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  test.each<readonly [string, unknown]>([
    ['a Map', new Map([[1, 2]])],
    ['a Set', new Set([1])],
    ['an instance of a class', { total: new Money() }],
    ['a function', { f: () => 1 }],
    ['a symbol', Symbol('s')],
    ['a promise', Promise.resolve(1)],
    ['NaN', Number.NaN],
    ['an invalid date', new Date(Number.NaN)],
    ['an integer that may have been rounded', 2 ** 60],
    ['a cycle', cycle],
    ['an error', new Error('no')],
    [
      'a getter that throws',
      {
        get a(): never {
          throw new Error('secret');
        },
      },
    ],
  ])('%s', async (_what, payload) => {
    expect(await codeOf(guard(`refused-${(keys += 1)}`, payload))).toBe('IDEMPOTENCY_PAYLOAD_UNSUPPORTED');
  });

  test('depth beyond the limit, as JSON of a client can have it', async () => {
    const deep: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000));
    expect(await codeOf(guard('too-deep', deep))).toBe('IDEMPOTENCY_PAYLOAD_TOO_LARGE');
  });
});

test('what changes after the call was made changes nothing, in the caller or in `run`', async () => {
  const payload = { items: [{ n: 1 }], at: new Date(0) };
  const call = { name: 'frozen', scope: 'alice', key: 'frozen', payload };
  const first = calls.idempotency.guard(call, () => {
    payload.items.push({ n: 3 });
    return 'ran';
  });
  payload.items[0]!.n = 2;
  payload.at.setTime(1);
  Object.assign(call, { name: 'thawed', scope: 'bob', key: 'thawed', mode: 'LEASE', payload: 'other' });
  expect((await first).outcome).toBe('executed');
  const asked = { name: 'frozen', scope: 'alice', key: 'frozen' };
  const original = { items: [{ n: 1 }], at: new Date(0) };
  expect(await calls.idempotency.guard({ ...asked, payload: original }, () => 'again')).toEqual({
    outcome: 'replayed',
    value: 'ran',
  });
  expect(await codeOf(calls.idempotency.guard({ ...asked, payload }, () => 'again'))).toBe(
    'IDEMPOTENCY_KEY_REUSED',
  );
  const [record] = await calls.sql<{ mode: string; coordinate: string }>(
    `select mode, coordinate from graphql_idempotency.record where coordinate in ('frozen', 'thawed')`,
  );
  expect(record).toEqual({ mode: 'transaction', coordinate: 'frozen' });
});

test('any JSON in any order of its keys is the same payload', async () => {
  const shuffled = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(shuffled)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(
            Object.entries(value)
              .toReversed()
              .map(([name, one]) => [name, shuffled(one)]),
          )
        : value;
  // Numbers that may have been rounded are refused.
  const json = fc
    .jsonValue()
    .map((value): unknown =>
      JSON.parse(JSON.stringify(value), (_, one: unknown) =>
        Number.isInteger(one) && !Number.isSafeInteger(one) ? 0 : one,
      ),
    );
  await fc.assert(
    fc.asyncProperty(json, async (value) => {
      expect(await again(value, shuffled(value))).toBe('replayed');
    }),
    { numRuns: 40 },
  );
});
