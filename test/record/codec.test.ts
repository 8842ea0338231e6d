/** What a resolver's result is after it was stored: the same, or refused beforehand. */

import { execFileSync } from 'node:child_process';
import { isDeepStrictEqual } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { UnserializableError, decode, encode } from '../../src/record/codec.ts';

function refusalOf(value: unknown): { message: string; path: string } {
  try {
    encode(value);
  } catch (error) {
    if (error instanceof UnserializableError) return { message: error.message, path: error.path };
    throw error;
  }
  throw new Error('it was encoded');
}

describe('a stored result comes back as it went', () => {
  const shared = { id: 7 };
  test.each<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['false', false],
    ['zero', 0],
    ['minus zero', -0],
    ['the largest safe integer', Number.MAX_SAFE_INTEGER],
    ['the smallest fraction', Number.MIN_VALUE],
    ['NaN', Number.NaN],
    ['infinities', [Infinity, -Infinity]],
    ['the empty text', ''],
    ['text with NUL, quotes, tags and line separators', '\0"\\</script>\u2028\u2029\u007F'],
    ['lone surrogates', ['\uD800', '\uDFFF', 'a\uDC00b', '\uDBFF\uD83D\uDE00']],
    ['lone surrogates in names', { '\uD800': 1, '\uDFFF': 2 }],
    ['a bigint beyond 64 bits', -(2n ** 200n)],
    ['an empty list', []],
    ['an empty object', {}],
    ['a list with holes', [1, , undefined, 3, ,]], // oxlint-disable-line no-sparse-arrays
    ['a long list with few elements', Object.assign(Array.from({ length: 0 }), { length: 5000, 4999: 'z' })],
    ['undefined inside', { a: undefined, b: [undefined] }],
    ['names that look like indexes, in their order', { b: 1, a: 2, 10: 3, 9: 4 }],
    ['names of built-ins', { constructor: 1, toString: 2, valueOf: 3, hasOwnProperty: 4, length: 5 }],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
    ['dates', [new Date(0), new Date(8.64e15), new Date(-1)]],
    ['a date that is none', [new Date(Number.NaN)]],
    ['a map with objects as keys', new Map<unknown, unknown>([[{ a: 1 }, new Map([[1, undefined]])]])],
    ['a set in its order', new Set([3, 1, 2, Number.NaN, 'x'])],
    ['a URL', new URL('https://user@example.test:8080/ä?q=1#f')],
    ['search parameters', new URLSearchParams('a=1&a=2&b=%20')],
    ['a regular expression', /a\/b"[\n]/giu],
    ['a shared object', [shared, shared]],
  ])('%s', (_, value) => {
    const back = decode(encode(value));
    expect(back).toStrictEqual(value);
    expect(encode(back).equals(encode(value))).toBe(true);
  });

  test('minus zero stays minus zero', () => {
    expect(Object.is(decode(encode(-0)), -0)).toBe(true);
  });

  test('a cycle and a shared object stay what they are', () => {
    const parent: Record<string, unknown> = { name: 'p' };
    parent['child'] = { parent };
    const back = decode(encode([parent, parent])) as { child: { parent: unknown } }[];
    expect(back[0]).toBe(back[1]);
    expect(back[0]!.child.parent).toBe(back[0]);
  });

  test('every decoding makes objects of its own', () => {
    const body = encode({ lines: [{ total: 1 }], at: new Date(5) });
    const first = decode(body) as { lines: { total: number }[]; at: Date };
    first.lines[0]!.total = 2;
    first.at.setTime(9);
    expect(decode(body)).toStrictEqual({ lines: [{ total: 1 }], at: new Date(5) });
  });

  test('the decoded body does not change when the bytes that it came from do', () => {
    const body = encode({ file: Buffer.from('abc') });
    const back = decode(body) as { file: Buffer };
    body.fill(0);
    expect(back.file.toString()).toBe('abc');
  });
});

describe('bytes', () => {
  test('a Buffer comes back as a Buffer, with every byte value', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const back = decode(encode({ all, none: Buffer.alloc(0) })) as { all: Buffer; none: Buffer };
    expect(Buffer.isBuffer(back.all)).toBe(true);
    expect(back.all.equals(all)).toBe(true);
    expect(Buffer.isBuffer(back.none)).toBe(true);
    expect(back.none).toHaveLength(0);
  });

  test.each<[string, (buffer: ArrayBuffer) => ArrayBufferView]>([
    ['Buffer', (buffer) => Buffer.from(buffer, 8, 8)],
    ['Uint8Array', (buffer) => new Uint8Array(buffer, 8, 8)],
    ['Uint8ClampedArray', (buffer) => new Uint8ClampedArray(buffer, 8, 8)],
    ['Int16Array', (buffer) => new Int16Array(buffer, 8, 4)],
    ['Float32Array', (buffer) => new Float32Array(buffer, 8, 2)],
    ['Float64Array', (buffer) => new Float64Array(buffer, 8, 1)],
    ['BigInt64Array', (buffer) => new BigInt64Array(buffer, 8, 1)],
  ])('a view (%s) is stored without what lies beside it', (_, viewOf) => {
    const memory = Buffer.from('SECRET-1payload!SECRET-2');
    const buffer = new Uint8Array(memory).buffer;
    const view = viewOf(buffer);
    const body = encode({ view });
    for (const text of [body.toString('latin1'), decodedBytesIn(body)]) expect(text).not.toContain('SECRET');
    expect(decode(body)).toStrictEqual({ view });
  });

  test('an ArrayBuffer comes back', () => {
    const { buffer } = new Uint8Array([1, 2, 255]);
    expect(new Uint8Array(decode(encode(buffer)) as ArrayBuffer)).toStrictEqual(new Uint8Array([1, 2, 255]));
  });
});

describe('what would come back as something else is refused, with its place', () => {
  class Money {
    readonly cents = 1;
  }
  test.each<[string, unknown, string, RegExp]>([
    ['a class instance', { lines: [{}, { total: new Money() }] }, '.lines[1].total', /Money/],
    ['a class instance as the result', new Money(), '', /Money/],
    ['a function', { a: { total: () => 1 } }, '.a.total', /function/],
    ['a symbol', [Symbol('x')], '[0]', /symbol/],
    ['a promise', { a: Promise.resolve(1) }, '.a', /promise; await it/],
    // oxlint-disable-next-line unicorn/no-thenable -- the case
    ['a thenable', { a: { then: () => 1 } }, '.a', /plain data/],
    ['a subclass of Date', { at: new (class Moment extends Date {})(0) }, '.at', /Moment/],
    ['a subclass of Array', { all: new (class Rows extends Array {})() }, '.all', /Rows/],
    ['a subclass of Map', { all: new (class Index extends Map {})() }, '.all', /Index/],
    ['a subclass of Uint8Array', [new (class Bytes extends Uint8Array {})(2)], '[0]', /Bytes/],
    ['a subclass of Buffer', { file: subclassOfBuffer() }, '.file', /Upload/],
    ['an error', { cause: new Error('x') }, '.cause', /Error/],
    ['a boxed number', { n: Object(1) }, '.n', /Number/],
    ['a weak map', { w: new WeakMap() }, '.w', /WeakMap/],
    ['a DataView', { v: new DataView(new ArrayBuffer(8)) }, '.v', /DataView/],
    ['an inherited object', { o: Object.create({ inherited: 1 }) }, '.o', /plain data/],
    ['a name that is a symbol', { o: { [Symbol('s')]: 1 } }, '.o', /plain data/],
    ['an own __proto__', { o: JSON.parse('{"__proto__":{"admin":true}}') }, '.o', /plain data/],
    ['the object of another realm', { o: runInContext('({ a: 1 })', createContext()) }, '.o', /plain data/],
    ['a value in a map', { m: new Map([['k', new Money()]]) }, '.m.get("k")', /Money/],
  ])('%s', (_, value, path, reason) => {
    const refusal = refusalOf(value);
    expect(refusal.path).toBe(path);
    expect(refusal.message).toMatch(reason);
  });

  test.each(['Array', 'Date', 'Map', 'Set', 'Number', 'ArrayBuffer', 'Uint8Array', 'URL', 'Money'])(
    'a plain object that calls itself %s is not taken for one',
    (tag) => {
      const impostor = Object.defineProperty({ a: 1 }, Symbol.toStringTag, { value: tag });
      expect(decode(encode({ impostor }))).toStrictEqual({ impostor: { a: 1 } });
    },
  );

  test('a getter that throws does not reach the caller as its own error', () => {
    const hostile = {
      get total(): number {
        throw new Error('secret detail');
      },
    };
    expect(refusalOf({ hostile }).message).toBe('reading it failed');
  });

  test('nothing is asked of toJSON', () => {
    expect(refusalOf({ a: { toJSON: () => 'x' } }).path).toBe('.a.toJSON');
  });
});

describe('nesting', () => {
  const nest = (depth: number, wrap: (inner: unknown) => unknown): unknown => {
    let value: unknown = 'x';
    for (let level = 0; level < depth; level += 1) value = wrap(value);
    return value;
  };

  test.each<[string, (inner: unknown) => unknown]>([
    ['lists', (inner) => [inner]],
    ['objects', (inner) => ({ inner })],
    ['maps', (inner) => new Map([[1, inner]])],
    ['map keys', (inner) => new Map([[inner, 1]])],
    ['sets', (inner) => new Set([inner])],
  ])('%s nested 100,000 deep are refused, not overflowing the stack', (_, wrap) => {
    expect(refusalOf(nest(100_000, wrap)).message).toMatch(/nested too deeply/);
  });

  test('a wide result is not a deep one', () => {
    const wide = Array.from({ length: 20_000 }, (_, id) => ({ id, tags: [] }));
    expect(isDeepStrictEqual(decode(encode(wide)), wide)).toBe(true);
  });

  test('the bound is the same for a warm process and one with a small stack', () => {
    const objects = (inner: unknown): unknown => ({ inner });
    // Compiled code needs less stack, and could go deeper without the bound.
    for (let round = 0; round < 1000; round += 1) encode(nest(50, objects));
    const deepest = encode(nest(500, objects));
    expect(refusalOf(nest(501, objects)).message).toMatch(/nested too deeply/);
    const codec = new URL('../../src/record/codec.ts', import.meta.url).href;
    const script = `import { readFileSync } from 'node:fs';
      import { decode, encode } from ${JSON.stringify(codec)};
      const body = readFileSync(0);
      console.log(encode(decode(body)).equals(body));`;
    const flags = ['--stack-size=400', '--import', import.meta.resolve('tsx'), '--input-type=module'];
    const output = execFileSync(process.execPath, [...flags, '-e', script], { input: deepest });
    expect(output.toString()).toBe('true\n');
  });
});

/** What the base64 texts in a body hold. */
function decodedBytesIn(body: Buffer): string {
  const texts = body.toString().match(/[A-Za-z0-9+/=]{4,}/g) ?? [];
  return texts.map((text) => Buffer.from(text, 'base64').toString('latin1')).join('\n');
}

function subclassOfBuffer(): Buffer {
  class Upload extends Uint8Array {}
  Object.setPrototypeOf(Upload.prototype, Buffer.prototype);
  return Object.setPrototypeOf(Buffer.from('abc'), Upload.prototype) as Buffer;
}
