import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fingerprintOfScalar, refusalOfScalar } from './calls.ts';

const of = fingerprintOfScalar;

/** Says what a value means, injectively, without sharing a line with the code under test. */
function meaning(value: unknown): string {
  return JSON.stringify(tagged(value));
}

function tagged(value: unknown): unknown {
  if (value === null || typeof value === 'boolean') return value;
  if (value === undefined) return ['undefined'];
  if (typeof value === 'number') return ['number', value + 0];
  if (typeof value === 'bigint') return ['bigint', value.toString()];
  if (typeof value === 'string')
    return ['string', Array.from(value, (character) => character.codePointAt(0))];
  if (value instanceof Date) return ['date', value.getTime()];
  if (value instanceof URL) return ['url', value.href];
  if (value instanceof ArrayBuffer) return ['ArrayBuffer', ...new Uint8Array(value)];
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    const view = Buffer.isBuffer(value) ? 'Uint8Array' : value.constructor.name;
    return [view, ...new Uint8Array(buffer, byteOffset, byteLength)];
  }
  if (Array.isArray(value)) return ['list', ...(value as unknown[]).map(tagged)];
  const entries = Object.entries(value as object).filter(([, entry]) => entry !== undefined);
  return [
    'object',
    ...entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, entry]) => [tagged(key), tagged(entry)]),
  ];
}

function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered);
  if (
    typeof value !== 'object' ||
    value === null ||
    ![Object.prototype, null].includes(Object.getPrototypeOf(value))
  ) {
    return value;
  }
  const copy = Object.create(null) as object;
  for (const [key, entry] of Object.entries(value).toReversed()) {
    Object.defineProperty(copy, key, { value: reordered(entry), enumerable: true });
  }
  return copy;
}

const bytes = fc.uint8Array({ maxLength: 4 });
const leaf = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    true,
    false,
    0,
    -0,
    1,
    0n,
    1n,
    -1n,
    '',
    '0',
    'null',
    'true',
    [],
    {},
  ),
  fc.integer(),
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .filter((n) => !Number.isInteger(n) || Number.isSafeInteger(n)),
  fc.bigInt(),
  fc.string({ unit: 'binary' }),
  fc.string({
    unit: fc.constantFrom('\ud800', '\udc00', '\ufffd', 's', 'S', '\0', '[', '{', 'a'),
    maxLength: 4,
  }),
  fc.date({ noInvalidDate: true }),
  fc.webUrl().map((url) => new URL(url)),
  bytes,
  bytes.map((array) => Buffer.from(array)),
  bytes.map((array) => new Uint8ClampedArray(array)),
  bytes.map((array) => new Int8Array(array)),
  bytes.map((array) => array.slice().buffer),
  bytes.map((array) => new DataView(array.slice().buffer)),
  fc.float32Array({ maxLength: 2 }),
);
const key = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    'toJSON',
    'length',
    '0',
    '1',
    '10',
    '',
    'a',
    'b',
    '\ud800',
    '\ufffd',
  ),
  fc.string({ maxLength: 3 }),
);
const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  ),
}));

describe('a value of a custom scalar', () => {
  it('has the fingerprint of its meaning, whatever the order of its keys', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(of(reordered(value))).toBe(of(value));
      }),
      { numRuns: 1000 },
    );
  });

  it('shares its fingerprint with no value of another meaning', () => {
    fc.assert(
      fc.property(fc.array(anyValue, { minLength: 2, maxLength: 20 }), (values) => {
        const given = values.filter((value) => value !== undefined);
        expect(new Set(given.map((value) => of(value))).size).toBe(new Set(given.map(meaning)).size);
      }),
      { numRuns: 1000 },
    );
  });

  it('shares its fingerprint with no nesting of the same leaves', () => {
    const nestings = [
      '[1,2,3]',
      '[[1,2,3]]',
      '[[1],2,3]',
      '[1,[2],3]',
      '[1,2,[3]]',
      '[[1,2],3]',
      '[1,[2,3]]',
      '[[1],[2],[3]]',
      '[[],1,2,3]',
      '[1,2,3,[]]',
      '{"a":[1,2,3]}',
      '{"a":1,"b":[2,3]}',
      '{"a":{"b":1},"c":2}',
      '{"a":{"b":1,"c":2}}',
      '{"a":"b"}',
      '{"ab":""}',
      '{"":"ab"}',
      '["a","b"]',
      '["ab"]',
      '["ab",""]',
      '"ab"',
      '{"a":null}',
      '{}',
      '[null]',
      '[]',
      '{"__proto__":1}',
      '{"__proto__":2}',
      '{"__proto__":{}}',
      '{"constructor":1}',
      '{"a":"\\u0000s"}',
      '{"a":"s\\u0000"}',
    ];
    expect(new Set(nestings.map((text) => of(JSON.parse(text)))).size).toBe(nestings.length);
  });

  it('is told from what its bytes would be in another type', () => {
    const date = new Date(0);
    const values = [
      0,
      '0',
      0n,
      false,
      null,
      '',
      [],
      {},
      date,
      0.5,
      date.toISOString(),
      'https://example.org/',
      new URL('https://example.org/'),
      Buffer.from(''),
      new ArrayBuffer(0),
      new DataView(new ArrayBuffer(0)),
      new Float64Array(),
      new Uint16Array(1),
      new Uint8Array(2),
      [0, 0],
      '\0\0',
      ['undefined'],
      [undefined],
      [null],
    ];
    expect(new Set(values.map((value) => of(value))).size).toBe(values.length);
  });

  it('may have __proto__ for a key, which changes no prototype', () => {
    const parsed: unknown = JSON.parse('{"__proto__":{"polluted":true},"a":1}');
    expect(of(parsed)).not.toBe(of({ a: 1 }));
    expect(of(JSON.parse('{"a":1,"__proto__":{"polluted":true}}'))).toBe(of(parsed));
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('may have a property that is undefined, as if it were absent, but a list keeps its length', () => {
    expect(of({ a: 1, b: undefined })).toBe(of({ a: 1 }));
    expect(of({ a: null })).not.toBe(of({}));
    expect(of([undefined])).not.toBe(of([]));
  });

  it('counts binary data by its bytes, wherever they lie', () => {
    const shared = Buffer.from('--abc--');
    expect(of(shared.subarray(2, 5))).toBe(of(Buffer.from('abc')));
    expect(of(new Uint8Array([97, 98, 99]))).toBe(of(Buffer.from('abc')));
    expect(of(new DataView(shared.buffer, shared.byteOffset + 2, 3))).toBe(
      of(new DataView(new Uint8Array([97, 98, 99]).buffer)),
    );
    expect(of(Buffer.from('abd'))).not.toBe(of(Buffer.from('abc')));
  });

  it('has no toJSON, toString or valueOf called', () => {
    const trap = (): never => expect.unreachable();
    const date = new Date(5);
    Object.defineProperties(date, {
      toJSON: { value: trap },
      valueOf: { value: trap },
      getTime: { value: trap },
    });
    expect(of(date)).toBe(of(new Date(5)));
    const url = new URL('https://example.org');
    Object.defineProperties(url, {
      toJSON: { value: trap },
      toString: { value: trap },
      href: { value: 'other' },
    });
    expect(of(url)).toBe(of(new URL('https://example.org')));
    const object = Object.defineProperty({ a: 1 }, 'toJSON', { value: trap, enumerable: false });
    expect(of(object)).toBe(of({ a: 1 }));
    expect(refusalOfScalar({ toJSON: trap }).message).toContain('a function');
  });

  it('may occur twice, which is no cycle', () => {
    const part = { a: [1] };
    expect(of([part, part, { part }])).toBe(of([{ a: [1] }, { a: [1] }, { part: { a: [1] } }]));
  });

  it('has its getters read once', () => {
    let reads = 0;
    const counted = Object.defineProperty({}, 'a', { enumerable: true, get: () => (reads += 1) });
    expect(of(counted)).toBe(of({ a: 1 }));
    expect(reads).toBe(1);
  });
});
