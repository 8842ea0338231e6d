import { Readable } from 'node:stream';
import { buildSchema } from 'graphql';
import { describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../src/fingerprint/fingerprint.ts';
import { argumentsOf, limits, refusalOfScalar } from './calls.ts';
import { nested, tooLarge, unsupported } from './refused-values.ts';

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
