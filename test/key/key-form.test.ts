import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { IdempotencyError } from '../../src/errors/idempotency-error.ts';
import type { KeyFormat } from '../../src/config/options.ts';
import { checkKey } from '../../src/key/key-form.ts';
import { refusal } from './refusal.ts';

const where = { coordinate: 'Mutation.pay', source: 'argument' } as const;
const visible = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
const wellFormedKey = fc.string({ unit: visible, minLength: 1, maxLength: 255 });

function refused(value: unknown, format?: KeyFormat): IdempotencyError {
  const error = refusal(() => checkKey(value, where, format));
  expect(error.code).toBe('IDEMPOTENCY_KEY_INVALID');
  expect(error.message).toContain('Mutation.pay');
  return error;
}

describe('the form of a key', () => {
  it('is 1-255 visible ASCII characters, taken exactly as they are', () => {
    fc.assert(
      fc.property(wellFormedKey, (key) => {
        expect(checkKey(key, where)).toBe(key);
      }),
    );
  });

  it('is refused for every string with a character outside 0x21-0x7E', () => {
    const outside = fc
      .oneof(fc.integer({ min: 0, max: 0x20 }), fc.integer({ min: 0x7f, max: 0xffff }))
      .map((code) => String.fromCharCode(code));
    fc.assert(
      fc.property(
        fc.string({ unit: visible, maxLength: 100 }),
        outside,
        fc.string({ unit: visible, maxLength: 100 }),
        (before, bad, after) => {
          expect(refused(before + bad + after).message).toContain('visible ASCII');
        },
      ),
    );
  });

  it.each([
    ['only spaces', '   '],
    ['a leading space', ' abc'],
    ['a trailing space', 'abc '],
    ['CR and LF', 'abc\r\nx-admin: 1'],
    ['a trailing line feed', 'abc\n'],
    ['NUL', 'a\0b'],
    ['DEL', 'a\u007f'],
    ['ANSI escapes', '\u001b[31mred'],
    ['mojibake', 'caf\u00c3\u00a9'],
    ['an emoji', 'pay\u{1f4b8}'],
    ['a right-to-left override', 'abc\u202edef'],
    ['a lone surrogate', 'abc\ud800'],
    ['composed and decomposed letters', 'e\u0301'],
  ])('refuses %s', (_name, key) => {
    expect(refused(key).message).toContain('visible ASCII');
  });

  it('calls an empty key empty rather than absent', () => {
    expect(refused('').message).toContain('empty');
  });

  it('accepts 255 characters and refuses 256', () => {
    expect(checkKey('k'.repeat(255), where)).toHaveLength(255);
    expect(refused('k'.repeat(256)).message).toContain('at most 255');
  });

  it('judges a key of 10 MB by its length alone', () => {
    // Were it scanned, the character outside ASCII would be the reason.
    expect(refused('é'.repeat(10_000_000)).message).toContain('too long');
  });

  it.each([[1], [true], [{}], [['abc']], [null], [undefined], [Symbol('k')], [10n], [Object('abc')]])(
    'refuses %s, which is no string',
    (value) => {
      expect(refused(value).message).toContain('must be a string');
    },
  );

  it.each([
    '__proto__',
    'constructor',
    'toString',
    "';drop/**/table/**/x;--",
    '*',
    '{slot}',
    'a:b',
    '1',
    'aaaa',
  ])('accepts %s', (key) => {
    expect(checkKey(key, where)).toBe(key);
  });

  it('is never repeated by an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: visible, minLength: 12, maxLength: 300 }), (key) => {
        expect(JSON.stringify(refused(`${key}\n`).toJSON())).not.toContain(key);
        expect(JSON.stringify(refused(key, () => false).toJSON())).not.toContain(key);
      }),
    );
  });

  it('names the source', () => {
    const named = (source: 'directive' | 'argument' | 'extension' | 'header'): string =>
      refusal(() => checkKey('', { coordinate: 'Mutation.pay', source })).message;
    expect(named('directive')).toContain('@idempotent(key:)');
    expect(named('argument')).toContain('argument');
    expect(named('extension')).toContain('extensions.idempotencyKey');
    expect(named('header')).toContain('Idempotency-Key');
  });
});

describe('keyFormat', () => {
  const uuid = '8f14e45f-ceea-467f-a8f3-3f1b3d2a6c11';

  it('"uuid" accepts UUIDs in either case, without folding it', () => {
    expect(checkKey(uuid, where, 'uuid')).toBe(uuid);
    expect(checkKey(uuid.toUpperCase(), where, 'uuid')).toBe(uuid.toUpperCase());
  });

  it.each(['1', 'aaaa', `${uuid}0`, `{${uuid}}`, uuid.replaceAll('-', '')])('"uuid" refuses %s', (key) => {
    refused(key, 'uuid');
  });

  it.each(['', 'g', 'y', 'gy'])('a RegExp with the flags "%s" gives the same answer every time', (flags) => {
    const format = new RegExp('^order-', flags);
    for (let round = 0; round < 3; round += 1) {
      expect(checkKey('order-1', where, format)).toBe('order-1');
      refused('cart-1', format);
    }
    format.lastIndex = 4;
    expect(checkKey('order-1', where, format)).toBe('order-1');
    expect(format.lastIndex).toBe(4);
  });

  it('a function must return true, not something truthy', () => {
    expect(checkKey('abc', where, (key) => key === 'abc')).toBe('abc');
    refused('abc', (async () => false) as unknown as (key: string) => boolean);
    refused('abc', (() => 1) as unknown as (key: string) => boolean);
  });

  it('a function that throws refuses the key and is the cause', () => {
    const cause = new Error('boom');
    const error = refused('abc', () => {
      throw cause;
    });
    expect(error.cause).toBe(cause);
    expect(JSON.stringify(error.toJSON())).not.toContain('boom');
  });

  it('sees only keys of the general form', () => {
    refused('a b', () => expect.unreachable());
  });
});
