/** The codec against values that nobody thought of. */

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UnserializableError, decode, encode } from '../../src/record/codec.ts';

/** Text of any UTF-16 code units: lone surrogates among them. */
const text = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 })
  .map((units) => String.fromCharCode(...units));
const bytes = fc.uint8Array({ maxLength: 40 });

/** Any name but the one that is refused. */
const name = fc.oneof(text, fc.string()).filter((key) => key !== '__proto__');

const leaf = fc.oneof(
  text,
  fc.string(),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.bigInt(),
  fc.constantFrom(null, undefined, -0, ''),
  fc.date({ noInvalidDate: true }),
  bytes.map((array) => Buffer.from(array)),
  bytes,
  fc.float32Array({ maxLength: 5 }),
  fc.bigInt64Array({ maxLength: 5 }),
  fc.webUrl().map((url) => new URL(url)),
);

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.sparseArray(tie('value'), { maxLength: 20, maxNumElements: 4 }),
    fc.dictionary(name, tie('value'), { maxKeys: 5 }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 4 }).map((values) => new Set(values)),
  ),
}));

test('decoding gives what was encoded, and encoding that gives the same bytes', () => {
  fc.assert(
    fc.property(value, (original) => {
      const body = encode(original);
      const back = decode(body);
      expect(isDeepStrictEqual(back, original)).toBe(true);
      expect(encode(back).equals(body)).toBe(true);
    }),
    { numRuns: 1500 },
  );
});

test('whatever a resolver returns is either kept as it is or refused; nothing is lost quietly', () => {
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
    key: fc.oneof(text, fc.constantFrom('__proto__', 'constructor', 'toJSON', 'then', 'length')),
  });
  fc.assert(
    fc.property(anything, (original) => {
      let body: Buffer;
      try {
        body = encode(original);
      } catch (error) {
        expect(error).toBeInstanceOf(UnserializableError);
        return;
      }
      // A date that is none differs from itself.
      fc.pre(!body.includes('["Date",""]'));
      expect(isDeepStrictEqual(decode(body), original)).toBe(true);
    }),
    { numRuns: 1500 },
  );
});

test('no bytes make decoding do anything but return or throw', () => {
  fc.assert(
    fc.property(value, fc.nat(), fc.integer({ min: 1, max: 255 }), (original, at, mask) => {
      const body = encode(original);
      const position = at % body.length;
      body.writeUInt8(body.readUInt8(position) ^ mask, position);
      try {
        decode(body);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    }),
    { numRuns: 1000 },
  );
});
