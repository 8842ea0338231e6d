import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readHeaderKey } from '../../src/key/header-key.ts';
import { refusal } from './refusal.ts';

const read = (header: string | readonly string[]): string => readHeaderKey(header, 'Mutation.pay');
const reason = (header: string | readonly string[]): string => {
  const error = refusal(() => read(header));
  expect(error.code).toBe('IDEMPOTENCY_KEY_INVALID');
  return error.message;
};
const quote = (key: string): string => `"${key.replaceAll(/["\\]/g, String.raw`\$&`)}"`;

const characters = (min: number, max: number): fc.Arbitrary<string> =>
  fc.integer({ min, max }).map((code) => String.fromCharCode(code));

describe('the Idempotency-Key header', () => {
  it('takes a bare value as it is', () => {
    const bare = fc.string({
      unit: characters(0x21, 0x7e).filter((character) => !'",;'.includes(character)),
      minLength: 1,
      maxLength: 255,
    });
    fc.assert(
      fc.property(bare, (key) => {
        expect(read(key)).toBe(key);
      }),
    );
  });

  it('unescapes a quoted string, whatever visible characters are in it', () => {
    const key = fc.string({ unit: characters(0x20, 0x7e), maxLength: 255 });
    fc.assert(
      fc.property(key, (text) => {
        expect(read(quote(text))).toBe(text);
      }),
    );
  });

  it('reads the quoted and the bare form of a key as the same key', () => {
    expect(read('"abc"')).toBe(read('abc'));
    expect(read(['abc'])).toBe('abc');
  });

  it('keeps a backslash in a bare value', () => {
    expect(read(String.raw`a\b`)).toBe(String.raw`a\b`);
  });

  it('keeps commas and semicolons inside quotes', () => {
    expect(read('"a,b;c"')).toBe('a,b;c');
  });

  it.each([
    ['two bare values', 'a, b'],
    ['two identical bare values', 'a,a'],
    ['a list of strings', '"a","b"'],
    ['a list of strings with spaces', '"a" , "b"'],
    ['a bare value and a string', 'a, "b"'],
    ['a string and a bare value', '"a", b'],
    ['a trailing comma', 'a,'],
  ])('refuses %s as more than one', (_name, header) => {
    expect(reason(header)).toContain('more than one');
  });

  it('refuses a repeated header, even with the same value', () => {
    expect(reason(['a', 'b'])).toContain('more than one');
    expect(reason(['a', 'a'])).toContain('more than one');
  });

  it.each(['"a";x=1', 'a;x=1', '"a" ; x'])('refuses the parameters of %s', (header) => {
    expect(reason(header)).toContain('parameters');
  });

  it.each(['"', '"abc', '"abc\\', '"abc\\"', String.raw`"a\bc"`, '"a"b', '"a" ', '"a""b"'])(
    'refuses %s as malformed',
    (header) => {
      expect(reason(header)).toContain('well-formed');
    },
  );

  it('refuses a quote inside a bare value', () => {
    expect(reason('a"b')).toContain('quote');
  });

  it('reads an empty header as an empty key', () => {
    expect(read('')).toBe('');
    expect(read('""')).toBe('');
  });

  it('judges a header of 10 MB by its length alone', () => {
    expect(reason('"' + '\\"'.repeat(5_000_000))).toContain('too long');
    expect(reason('a,'.repeat(5_000_000))).toContain('too long');
  });

  it('accepts 255 characters that are all escaped', () => {
    expect(read(quote('"'.repeat(255)))).toHaveLength(255);
  });

  it('answers every string with a key or KEY_INVALID', () => {
    const hostile = fc.string({ unit: fc.constantFrom('"', '\\', ',', ';', ' ', 'a', '\0', 'é', '\ud800') });
    fc.assert(
      fc.property(hostile, (header) => {
        try {
          expect(typeof read(header)).toBe('string');
        } catch {
          reason(header);
        }
      }),
    );
  });
});
