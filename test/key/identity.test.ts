import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { identityOf, scopeHashOf } from '../../src/key/identity.ts';
import type { Key } from '../../src/key/key-form.ts';

const identity = (namespace: string, scope: string, key: string): string =>
  identityOf({ namespace, scope, key: key as Key }).toString('hex');
const scopeHash = (namespace: string, scope: string): string => scopeHashOf(namespace, scope).toString('hex');

// Rich in what separators, length prefixes and encodings could confuse.
const tricky = fc.oneof(
  fc.string({
    unit: fc.constantFrom(
      'a',
      'b',
      ':',
      '|',
      '/',
      '\0',
      '\n',
      's',
      'S',
      '\u0001',
      '\ud800',
      '\udc00',
      '\ufffd',
      'é',
    ),
    maxLength: 6,
  }),
  fc.string({ unit: 'binary' }),
);

describe('the identity', () => {
  // Computed by another implementation of the recipe. If one of these fails, the code is wrong, not the test:
  // a changed recipe executes every retry under way again.
  it('has a recipe that never changes', () => {
    expect(identity('', 'user-1', 'abc123')).toBe(
      '90eccc6a99fb88f51755a72ed6bbbd770c5216be8f41e3a273b67e27c83ef56e',
    );
    expect(identity('billing', 'größe/日本', '8f14e45f-ceea-467f-a8f3-3f1b3d2a6c11')).toBe(
      '3b2a934dae01542cf55ff25db36137f25b5235a8a056066f635aa7127eb7f142',
    );
    expect(identity('', 'u\ud800', 'abc123')).toBe(
      'ca12101bdbc168010701b1a2637ff7c075a52f56eb5d49fc739ec6719d31c23a',
    );
  });

  it('has 32 bytes', () => {
    expect(identityOf({ namespace: '', scope: 'u', key: 'k' as Key })).toHaveLength(32);
    expect(scopeHashOf('', 'u')).toHaveLength(32);
  });

  it('is the same for the same namespace, scope and key, and different for any others', () => {
    const parts = fc.tuple(tricky, tricky, tricky);
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const same = a.every((part, index) => part === b[index]);
        expect(identity(...a) === identity(...b)).toBe(same);
      }),
      { numRuns: 2000 },
    );
  });

  it('is different wherever the same text is cut into namespace, scope and key', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', ':', '\0'), minLength: 1, maxLength: 8 }),
        (text) => {
          const cuts: string[] = [];
          for (let first = 0; first <= text.length; first += 1) {
            for (let second = first; second <= text.length; second += 1) {
              cuts.push(identity(text.slice(0, first), text.slice(first, second), text.slice(second)));
            }
          }
          expect(new Set(cuts).size).toBe(cuts.length);
        },
      ),
    );
  });

  it('keeps a:b of scope x apart from b of scope x:a', () => {
    expect(identity('', 'x', 'a:b')).not.toBe(identity('', 'x:a', 'b'));
  });

  it('does not fold lone surrogates, or confuse them with what they look like in bytes', () => {
    const scopes = [
      '\ud800',
      '\udbff',
      '\udc00',
      '\ufffd',
      '\ud800\ud800',
      '?',
      '\0\ufffd',
      'a\ud800',
      '\ud800a',
    ];
    expect(new Set(scopes.map((scope) => identity('', scope, 'k'))).size).toBe(scopes.length);
    expect(new Set(scopes.map((scope) => scopeHash('', scope))).size).toBe(scopes.length);
  });

  it('tells upper from lower case', () => {
    expect(identity('', 'u', 'ABC')).not.toBe(identity('', 'u', 'abc'));
    expect(identity('', 'U', 'abc')).not.toBe(identity('', 'u', 'abc'));
  });

  it('hashes names of object properties like any other key', () => {
    const keys = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    expect(new Set(keys.map((key) => identity('', 'u', key))).size).toBe(keys.length);
  });
});

describe('the scope hash', () => {
  it('has a recipe that never changes', () => {
    expect(scopeHash('', 'user-1')).toBe('7111c190929e63e32605a72f494e8b8dda64f4ca285155ad54c12be7ebd6b5a1');
    expect(scopeHash('billing', 'user-1')).toBe(
      'e1580caf4ec8832769536f4a3656f06c47e660c332ee8a535e5ff221f01a8222',
    );
  });

  it('is the same for the same namespace and scope only, and is never an identity', () => {
    const parts = fc.tuple(tricky, tricky);
    fc.assert(
      fc.property(parts, parts, tricky, (a, b, key) => {
        expect(scopeHash(...a) === scopeHash(...b)).toBe(a[0] === b[0] && a[1] === b[1]);
        expect(scopeHash(...a)).not.toBe(identity(...b, key));
      }),
    );
  });
});
