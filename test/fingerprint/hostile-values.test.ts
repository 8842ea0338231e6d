import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildSchema } from 'graphql';
import { IdempotencyError } from '../../src/errors/idempotency-error.ts';
import { fingerprintOf } from '../../src/fingerprint/fingerprint.ts';
import { argumentsOf, fingerprintOfScalar, limits, refusalOfScalar } from './calls.ts';
import type { Rules } from './calls.ts';

function unsupported(value: unknown): IdempotencyError {
  const error = refusalOfScalar(value);
  expect(error.code).toBe('IDEMPOTENCY_PAYLOAD_UNSUPPORTED');
  expect(error.message).toContain('Mutation.pay');
  expect(error.message).toContain('"meta"');
  expect(error.message).toContain('ignore');
  return error;
}

function tooLarge(value: unknown, limit: keyof typeof limits, rules: Rules = {}): IdempotencyError {
  const error = refusalOfScalar(value, rules);
  expect(error.code).toBe('IDEMPOTENCY_PAYLOAD_TOO_LARGE');
  expect(error.message).toContain('Mutation.pay');
  expect(error.message).toContain(limit);
  return error;
}

function nested(depth: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = wrap(value);
  return value;
}

class Money {
  readonly cents = 5;
}

describe('what has no canonical form', () => {
  it.each<[string, unknown]>([
    ['a function', () => 1],
    ['an async function', async () => 1],
    ['a class', Money],
    ['a symbol', Symbol('s')],
    ['a promise', Promise.resolve(1)],
    ['a stream', Readable.from([])],
    ['a Map', new Map([['a', 1]])],
    ['a Set', new Set([1])],
    ['a WeakMap', new WeakMap()],
    ['a RegExp', /a/],
    ['an Error', new Error('e')],
    ['an instance of a class', new Money()],
    ['an object with a prototype of its own', Object.create({ a: 1 })],
    ['an iterator', [1][Symbol.iterator]()],
    ['a generator', (function* () {})()],
    ['a boxed number', Object(1)],
    ['a boxed string', Object('a')],
    ['a boxed bigint', Object(1n)],
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['-Infinity', Number.NEGATIVE_INFINITY],
    ['2^53, which 2^53 + 1 becomes in JSON', JSON.parse('9007199254740993')],
    ['an invalid date', new Date(Number.NaN)],
    ['a subclass of Date', new (class extends Date {})(0)],
    ['a subclass of Array', new (class extends Array<number> {})(1, 2)],
    ['a subclass of Uint8Array', new (class extends Uint8Array {})(2)],
    ['a fake Date', Object.create(Date.prototype)],
    ['a fake URL', Object.create(URL.prototype)],
    ['a fake Uint8Array', Object.create(Uint8Array.prototype)],
    ['a SharedArrayBuffer', new SharedArrayBuffer(1)],
    ['search parameters', new URLSearchParams('a=1')],
    ['a symbol for a key', { [Symbol('s')]: 1 }],
    // oxlint-disable-next-line no-sparse-arrays -- holes are the point
    ['a list with holes', [1, , 2]],
    ['a list with a property', Object.assign([1], { extra: 2 })],
    ['a weak reference', new WeakRef({})],
    ['globalThis', globalThis],
  ])('is refused: %s', (_name, value) => {
    unsupported(value);
    unsupported([value]);
    unsupported({ a: { b: [1, value] } });
  });

  it('is refused although JSON would make {} of it', () => {
    for (const value of [new Money(), new Map(), new Set(), Promise.resolve(), /a/]) unsupported(value);
  });

  it('is a cycle, of any length and through any container', () => {
    const self: Record<string, unknown> = {};
    self['self'] = self;
    const list: unknown[] = [];
    list.push(list);
    const long: Record<string, unknown> = {};
    long['child'] = nested(50, (inner) => ({ inner, list: [long] }));
    for (const value of [self, list, long]) expect(unsupported(value).message).toContain('cycle');
  });

  it('is what cannot be read: the error that a getter or a proxy throws is the cause and stays inside', () => {
    const cause = new Error('secret detail');
    const fail = (): never => {
      throw cause;
    };
    const values = [
      Object.defineProperty({}, 'a', { enumerable: true, get: fail }),
      Object.defineProperty([], 0, { enumerable: true, get: fail }),
      new Proxy({ a: 1 }, { ownKeys: fail }),
      new Proxy({ a: 1 }, { get: fail }),
      new Proxy({ a: 1 }, { getPrototypeOf: fail }),
      new Proxy({ a: 1 }, { getOwnPropertyDescriptor: fail }),
      new Proxy([1], { get: fail }),
    ];
    for (const value of values) {
      const error = unsupported(value);
      expect(error.cause).toBe(cause);
      expect(JSON.stringify(error.toJSON())).not.toContain('secret');
    }
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    unsupported(proxy);
    const detached = new ArrayBuffer(4);
    structuredClone(detached, { transfer: [detached] });
    unsupported({ detached });
  });

  it('ends although a proxy never does', () => {
    const endless: unknown = new Proxy(
      {},
      {
        ownKeys: () => ['a'],
        getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true, value: 1 }),
        get: () => [endless, 1],
      },
    );
    expect(refusalOfScalar(endless).code).toMatch(/UNSUPPORTED|TOO_LARGE/);
    const growing = (): unknown => new Proxy({ a: 1, b: 1 }, { get: () => growing() });
    tooLarge(growing(), 'maxPayloadDepth');
    let reads = 0;
    const moody: unknown = new Proxy([1], {
      get: (target, property) =>
        property === 'length' ? ((reads += 1) < 3 ? 1 : -1) : Reflect.get(target, property),
    });
    expect(refusalOfScalar(moody).code).toMatch(/UNSUPPORTED|TOO_LARGE/);
  });

  it('is named by its path in the schema, and neither keys nor values of a scalar are repeated', () => {
    const schema = buildSchema(`
      scalar JSON
      input Line { meta: JSON }
      input In { lines: [Line] }
      type Query { a: Int }
      type Mutation { pay(input: In): Int }
    `);
    const values = { input: { lines: [{ meta: 1 }, { meta: { 'secret-key': ['secret-value', () => 1] } }] } };
    const call = { coordinate: 'Mutation.pay', args: argumentsOf(schema), values, omit: [], limits };
    expect(() => fingerprintOf(call)).toThrow(
      'Mutation.pay: its argument "input.lines[1].meta" holds a function',
    );
    expect(() => fingerprintOf(call)).not.toThrow('secret');
    expect(() => fingerprintOf({ ...call, limits: { ...limits, maxPayloadBytes: 60 } })).toThrow(
      '"input.lines[1].meta" exceeded the limit maxPayloadBytes (60)',
    );
  });
});

describe('what is too large', () => {
  it('is nesting beyond the limit, 100,000 levels included, without a RangeError', () => {
    const lists: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000));
    tooLarge(lists, 'maxPayloadDepth');
    tooLarge(
      nested(100_000, (inner) => ({ inner })),
      'maxPayloadDepth',
    );
    tooLarge(
      nested(100_000, (inner) => ({ inner })),
      'maxPayloadBytes',
      {
        limits: { maxPayloadDepth: 1_000_000, maxPayloadNodes: 1_000_000 },
      },
    );
  });

  it('is walked without recursion: 100,000 levels have a fingerprint where the limits allow it', () => {
    const generous = { maxPayloadDepth: 1e6, maxPayloadNodes: 1e6, maxPayloadBytes: 1e8 };
    const deep = nested(100_000, (inner) => [{ inner }]);
    const other = nested(100_000, (inner) => ({ inner: [inner] }));
    expect(fingerprintOfScalar(deep, { limits: generous })).not.toBe(
      fingerprintOfScalar(other, { limits: generous }),
    );
  });

  it('begins exactly beyond each limit', () => {
    expect(fingerprintOfScalar(nested(64, (inner) => [inner]))).toHaveLength(64);
    tooLarge(
      nested(65, (inner) => [inner]),
      'maxPayloadDepth',
    );
    expect(fingerprintOfScalar(Array.from({ length: 9999 }, () => 1))).toHaveLength(64);
    tooLarge(
      Array.from({ length: 10_000 }, () => 1),
      'maxPayloadNodes',
    );
    // { } and the tokens s....meta and s....
    const overhead = 2 + 9 + 5;
    const rules = { limits: { maxPayloadBytes: 100 } };
    expect(fingerprintOfScalar('a'.repeat(100 - overhead), rules)).toHaveLength(64);
    tooLarge('a'.repeat(101 - overhead), 'maxPayloadBytes', rules);
    tooLarge('ä'.repeat(51 - overhead / 2), 'maxPayloadBytes', rules);
  });

  it('is many small values, however they are arranged', () => {
    tooLarge(
      Array.from({ length: 20_000 }, () => 1),
      'maxPayloadNodes',
    );
    tooLarge(
      Array.from({ length: 200 }, () => Array.from({ length: 100 }, () => 1)),
      'maxPayloadNodes',
    );
    const shared = Array.from({ length: 100 }, () => 1);
    tooLarge(
      nested(5, (inner) => Array.from({ length: 100 }, () => (inner === 1 ? shared : inner))),
      'maxPayloadNodes',
    );
    tooLarge(
      Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`k${index}`, undefined])),
      'maxPayloadNodes',
    );
  });

  it('is an object of a million keys, which are not sorted, and none of which is read', () => {
    const keys = Array.from({ length: 1_000_000 }, (_, index) => `k${index}`);
    const huge = Object.fromEntries(keys.map((key) => [key, 1]));
    const untouched = new Proxy(huge, { get: () => expect.unreachable() });
    tooLarge(huge, 'maxPayloadNodes');
    tooLarge(untouched, 'maxPayloadNodes');
  });

  it('is long keys that begin alike, before they are sorted', () => {
    const prefix = 'k'.repeat(10_000);
    const long = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`${prefix}${index}`, 1]));
    const untouched = new Proxy(long, { get: () => expect.unreachable() });
    tooLarge(untouched, 'maxPayloadBytes');
  });

  it('is a list of length 2^32 - 1, whether or not there is anything in it', () => {
    const sparse: unknown[] = [];
    sparse.length = 2 ** 32 - 1;
    tooLarge(sparse, 'maxPayloadNodes');
  });

  it('is one huge string, key, bigint or buffer', () => {
    const string = 'x'.repeat(2 ** 28);
    tooLarge(string, 'maxPayloadBytes');
    tooLarge({ [string]: 1 }, 'maxPayloadBytes');
    tooLarge(1n << 100_000_000n, 'maxPayloadBytes');
    tooLarge(-(1n << 100_000_000n), 'maxPayloadBytes');
    tooLarge(Buffer.alloc(2 ** 26), 'maxPayloadBytes');
    tooLarge(`\ud800${'x'.repeat(200_000)}`, 'maxPayloadBytes');
  });

  it('is never accepted because of what is left out afterwards', () => {
    const schema = buildSchema(
      'type Query { a: Int } type Mutation { pay(a: String = "x", b: String): Int }',
    );
    const call = { coordinate: 'Mutation.pay', args: argumentsOf(schema), omit: [], limits };
    expect(() => fingerprintOf({ ...call, values: { a: 'y'.repeat(300_000) } })).toThrow('"a" exceeded');
    expect(() => fingerprintOf({ ...call, values: { a: 'x', b: 'y'.repeat(300_000) } })).toThrow(
      '"b" exceeded',
    );
  });
});

describe('any value at all', () => {
  it('has a fingerprint or is refused with a code', () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withObjectString: true,
      withSet: true,
      withSparseArray: true,
      withTypedArray: true,
      withUnicodeString: true,
    });
    fc.assert(
      fc.property(anything, (value) => {
        try {
          expect(fingerprintOfScalar(value)).toBe(fingerprintOfScalar(value));
        } catch (error) {
          if (!(error instanceof IdempotencyError)) throw error;
          expect(error.code).toMatch(/^IDEMPOTENCY_PAYLOAD_(UNSUPPORTED|TOO_LARGE)$/);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('that parses as JSON has a fingerprint, unless an integer in it may have been rounded', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const rounded = JSON.stringify(value, (_key, entry: unknown) =>
          Number.isInteger(entry) && !Number.isSafeInteger(entry) ? 'rounded' : entry,
        ).includes('"rounded"');
        if (rounded) unsupported(value);
        else expect(fingerprintOfScalar(value)).toHaveLength(64);
      }),
      { numRuns: 1000 },
    );
  });

  it('is left as it was', () => {
    const value = { b: [3, { z: 1, a: 2 }], a: 1 };
    const before = JSON.stringify(value);
    fingerprintOfScalar(Object.freeze(value));
    expect(JSON.stringify(value)).toBe(before);
  });
});
