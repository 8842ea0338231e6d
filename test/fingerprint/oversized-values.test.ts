import { buildSchema } from 'graphql';
import { describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../src/fingerprint/fingerprint.ts';
import { argumentsOf, fingerprintOfScalar, limits } from './calls.ts';
import { nested, tooLarge } from './refused-values.ts';

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
    const half = Array.from({ length: 5000 }, () => 1);
    tooLarge([half, ...half], 'maxPayloadNodes');
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
    const withKeys = (count: number): Record<string, number> => {
      const object: Record<string, number> = {};
      for (let index = 0; index < count; index += 1) object[`k${index}`] = 1;
      return object;
    };
    tooLarge(withKeys(1_000_000), 'maxPayloadNodes');
    const many = withKeys(20_000);
    tooLarge(new Proxy(many, { get: () => expect.unreachable() }), 'maxPayloadNodes');
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
    const string = 'x'.repeat(2 ** 25);
    tooLarge(string, 'maxPayloadBytes');
    tooLarge({ [string]: 1 }, 'maxPayloadBytes');
    tooLarge(1n << 10_000_000n, 'maxPayloadBytes');
    tooLarge(-(1n << 10_000_000n), 'maxPayloadBytes');
    tooLarge(Buffer.alloc(2 ** 25), 'maxPayloadBytes');
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
