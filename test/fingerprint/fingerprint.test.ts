import { createHash } from 'node:crypto';
import { GraphQLEnumType, GraphQLFloat, GraphQLScalarType } from 'graphql';
import type { GraphQLSchema } from 'graphql';
import { describe, expect, it } from 'vitest';
import { FINGERPRINT_VERSION, fingerprintOf } from '../../src/fingerprint/fingerprint.ts';
import { argumentsOf, fingerprintOfOperation, limits } from './calls.ts';
import { codeFirst, fingerprint, schemaOf } from './schemas.ts';

describe('the recipe', () => {
  const schema = schemaOf(
    'scalar JSON enum Currency { EUR USD } type Mutation { pay(meta: JSON, currency: Currency, amount: Int): Int }',
  );

  // Computed by another implementation. If it fails, the recipe has changed and needs a new version.
  it('of version 1 never changes', () => {
    expect(FINGERPRINT_VERSION).toBe(1);
    const values = { meta: { a: [true, false, 'x'], '': null }, currency: 'EUR', amount: 12 };
    expect(fingerprint(schema, values)).toBe(
      'ee37defeeb76eb7a56ff19b9068337f270150c248a68392176e7e68ec5deae94',
    );
  });

  it('is the one that the encoding documents, for every kind of token', () => {
    const u32 = (length: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(length);
      return bytes;
    };
    const double = (value: number): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleBE(value);
      return bytes;
    };
    const sized = (tag: string, bytes: Buffer): Buffer =>
      Buffer.concat([Buffer.from(tag), u32(bytes.length), bytes]);
    const text = (value: string): Buffer => sized('s', Buffer.from(value));
    const meta = [
      null,
      undefined,
      true,
      false,
      -1.5,
      -0,
      -255n,
      'größe',
      '\ud800',
      new Date(86_400_000),
      new URL('https://example.org'),
      Buffer.from([1, 2]),
      [],
      { b: 1, a: {} },
    ];
    const expected = createHash('sha256')
      .update('graphql-idempotency/fingerprint/1\0')
      .update(text('Mutation.pay'))
      .update('{')
      .update(text('meta'))
      .update('[zutf')
      .update(Buffer.concat([Buffer.from('n'), double(-1.5), Buffer.from('n'), double(0)]))
      .update(sized('i', Buffer.from('-ff')))
      .update(text('größe'))
      .update(sized('S', Buffer.from('\ud800', 'utf16le')))
      .update(Buffer.concat([Buffer.from('d'), double(86_400_000)]))
      .update(Buffer.concat([Buffer.from('l'), text('https://example.org/')]))
      .update(Buffer.concat([Buffer.from('b'), text('Uint8Array'), u32(2), Buffer.from([1, 2])]))
      .update('[]')
      .update(
        Buffer.concat([
          Buffer.from('{'),
          text('a'),
          Buffer.from('{}'),
          text('b'),
          Buffer.from('n'),
          double(1),
        ]),
      )
      .update('}]}')
      .digest('hex');
    expect(fingerprint(schema, { meta })).toBe(expected);
  });

  it('includes the field', () => {
    const args = argumentsOf(schema);
    const of = (coordinate: string): string =>
      fingerprintOf({ coordinate, args, values: {}, omit: [], limits }).toString('hex');
    expect(of('Mutation.pay')).not.toBe(of('Mutation.refund'));
    expect(of('Mutation.pay')).toHaveLength(64);
  });
});

describe('types', () => {
  it('of enums count by name, not by the value behind it', () => {
    const withValues = (one: unknown, two: unknown): GraphQLSchema =>
      codeFirst({
        level: {
          type: new GraphQLEnumType({ name: 'Level', values: { LOW: { value: one }, HIGH: { value: two } } }),
        },
      });
    const [numbers, swapped, objects] = [withValues(1, 2), withValues(2, 1), withValues({ l: 1 }, { l: 1 })];
    const low = 'mutation { pay(level: LOW) }';
    const high = 'mutation { pay(level: HIGH) }';
    expect(fingerprintOfOperation(swapped, low)).toBe(fingerprintOfOperation(numbers, low));
    expect(fingerprintOfOperation(objects, low)).toBe(fingerprintOfOperation(numbers, low));
    expect(fingerprintOfOperation(objects, high)).not.toBe(fingerprintOfOperation(objects, low));
    expect(() => fingerprint(numbers, { level: 3 })).toThrow('not of its type');
  });

  it('keep an enum value apart from the string of the same name', () => {
    const enumeration = schemaOf('enum E { A } type Mutation { pay(x: E): Int }');
    const string = schemaOf('type Mutation { pay(x: String): Int }');
    expect(fingerprint(enumeration, { x: 'A' })).not.toBe(fingerprint(string, { x: 'A' }));
  });

  it('of numbers share one form, so that Int may become Float in a deploy', () => {
    const int = schemaOf('type Mutation { pay(x: Int): Int }');
    const float = schemaOf('type Mutation { pay(x: Float): Int }');
    expect(fingerprintOfOperation(float, 'mutation { pay(x: 1.0) }')).toBe(
      fingerprintOfOperation(int, 'mutation { pay(x: 1) }'),
    );
    expect(fingerprint(int, { x: -0 })).toBe(fingerprint(int, { x: 0 }));
  });

  it('of Float carry every finite double; other types refuse integers that JSON may have rounded', () => {
    const schema = codeFirst({
      x: { type: GraphQLFloat },
      y: { type: new GraphQLScalarType({ name: 'JSON' }) },
    });
    const doubles = [
      2 ** 53,
      2 ** 53 + 2,
      1e300,
      -1e300,
      Number.MAX_VALUE,
      5e-324,
      0.1,
      0.1 + Number.EPSILON / 8,
    ];
    expect(new Set(doubles.map((x) => fingerprint(schema, { x }))).size).toBe(doubles.length);
    for (const y of [2 ** 53, -(2 ** 53), 1e300]) expect(() => fingerprint(schema, { y })).toThrow('2^53');
    expect(fingerprint(schema, { y: Number.MAX_SAFE_INTEGER })).toHaveLength(64);
  });

  it('of input fields may be called like properties of objects', () => {
    const schema = schemaOf(
      'input In { constructor: Int, toString: Int } type Mutation { pay(in: In): Int }',
    );
    expect(fingerprint(schema, { in: {} })).toBe(fingerprint(schema, { in: Object.create(null) }));
    expect(fingerprint(schema, { in: { constructor: 1 } })).not.toBe(fingerprint(schema, { in: {} }));
  });

  it('refuse what coercion cannot have made', () => {
    const schema = schemaOf('input In { a: Int } type Mutation { pay(in: In, list: [Int!]): Int }');
    expect(() => fingerprint(schema, { in: 'text' })).toThrow('"in" holds a value that is not of its type');
    expect(() => fingerprint(schema, { list: [1, () => 1] })).toThrow('"list[1]" holds a function');
  });
});

describe('omitted paths', () => {
  const schema = schemaOf(`
    scalar Upload
    input Item { sku: String, trace: String }
    input In { idempotencyKey: String, note: String = "x", items: [[Item]], file: Upload }
    type Mutation { pay(input: In, trace: String, fallback: Item = { sku: "s", trace: "t" }): Int }
  `);

  it('make no difference, given or not', () => {
    const omit = [['input', 'idempotencyKey'], ['trace']];
    const bare = fingerprint(schema, { input: { note: 'y' } }, omit);
    expect(fingerprint(schema, { input: { note: 'y', idempotencyKey: 'k' }, trace: 't' }, omit)).toBe(bare);
    expect(fingerprint(schema, { input: { note: 'z', idempotencyKey: 'k' } }, omit)).not.toBe(bare);
    expect(fingerprint(schema, { input: { note: 'y', idempotencyKey: 'k' } })).not.toBe(
      fingerprint(schema, { input: { note: 'y' } }),
    );
  });

  it('go through lists to each of their elements', () => {
    const omit = [['input', 'items', 'trace']];
    const of = (...traces: (string | undefined)[]): string =>
      fingerprint(schema, { input: { items: [traces.map((trace) => ({ sku: 'a', trace })), null] } }, omit);
    expect(of('1', '2')).toBe(of('3', undefined));
    expect(of('1', '2')).not.toBe(of('1'));
    expect(fingerprint(schema, { input: { items: [[{ sku: 'b', trace: '1' }]] } }, omit)).not.toBe(of('1'));
  });

  it('keep the other paths with the same beginning', () => {
    const omit = [
      ['input', 'items', 'trace'],
      ['input', 'idempotencyKey'],
    ];
    const of = (input: object): string => fingerprint(schema, { input }, omit);
    expect(of({ note: 'y' })).not.toBe(of({ note: 'z' }));
    expect(of({ items: [[{ sku: 'a' }]] })).not.toBe(of({ items: [[{ sku: 'b' }]] }));
  });

  it('are not looked at: they may hold what has no canonical form', () => {
    const upload = Promise.resolve('stream');
    expect(() => fingerprint(schema, { input: { file: upload } })).toThrow('"input.file" holds a promise');
    expect(fingerprint(schema, { input: { file: upload } }, [['input', 'file']])).toBe(
      fingerprint(schema, { input: {} }),
    );
  });

  it('do not count in defaults either', () => {
    const omit = [['fallback', 'trace']];
    const absent = fingerprintOfOperation(schema, 'mutation { pay }', {}, { omit });
    const given = (fallback: string): string =>
      fingerprintOfOperation(schema, `mutation { pay(fallback: ${fallback}) }`, {}, { omit });
    expect(given('{ sku: "s" }')).toBe(absent);
    expect(given('{ sku: "s", trace: "other" }')).toBe(absent);
    expect(given('{ sku: "other", trace: "t" }')).not.toBe(absent);
    // The same argument without the omission, and another time with it: forms of defaults are kept apart.
    const strictly = fingerprintOfOperation(
      schema,
      'mutation { pay(fallback: { sku: "s", trace: "other" }) }',
    );
    expect(strictly).not.toBe(fingerprintOfOperation(schema, 'mutation { pay }'));
    expect(given('{ sku: "s", trace: "third" }')).toBe(absent);
  });

  it('may be the whole of an object', () => {
    expect(fingerprint(schema, { input: { note: 'y' } }, [['input'], ['input', 'note']])).toBe(
      fingerprint(schema, {}),
    );
  });
});
