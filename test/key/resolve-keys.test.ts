import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors/codes.ts';
import type { IdempotencyError } from '../../src/errors/idempotency-error.ts';
import { resolveKeys } from '../../src/key/resolve-keys.ts';
import type { FieldKeySources, OperationKeySources } from '../../src/key/resolve-keys.ts';
import { refusal } from './refusal.ts';

function field(name: string, sources: Partial<FieldKeySources> = {}): FieldKeySources {
  return {
    coordinate: `Mutation.${name}`,
    responseName: name,
    required: true,
    directiveKeys: [undefined],
    argumentKey: undefined,
    ...sources,
  };
}

function operation(
  fields: readonly FieldKeySources[],
  rest: Partial<Omit<OperationKeySources, 'fields'>> = {},
): OperationKeySources {
  return {
    fields,
    requestKeys: {},
    headerShared: false,
    extensionShared: false,
    keyFormat: undefined,
    ...rest,
  };
}

type Call = Parameters<typeof operation>;

const keysOf = (...parameters: Call): readonly (string | undefined)[] =>
  resolveKeys(operation(...parameters));

function refused(code: ErrorCode, ...parameters: Call): IdempotencyError {
  const error = refusal(() => resolveKeys(operation(...parameters)));
  expect(error.code).toBe(code);
  return error;
}

describe('the key of a single guarded field', () => {
  it('may come from any source', () => {
    expect(keysOf([field('pay', { directiveKeys: ['k'] })])).toEqual(['k']);
    expect(keysOf([field('pay', { argumentKey: 'k' })])).toEqual(['k']);
    expect(keysOf([field('pay')], { requestKeys: { extension: 'k' } })).toEqual(['k']);
    expect(keysOf([field('pay')], { requestKeys: { header: 'k' } })).toEqual(['k']);
    expect(keysOf([field('pay')], { requestKeys: { header: '"k"' } })).toEqual(['k']);
    expect(keysOf([field('pay')], { requestKeys: { header: ['k'] } })).toEqual(['k']);
  });

  it('may come from all sources at once when they agree, and from no two that differ', () => {
    const keys = fc.constantFrom(undefined, 'a', 'b');
    fc.assert(
      fc.property(
        keys,
        keys,
        keys,
        keys,
        fc.boolean(),
        (directive, argument, extension, header, required) => {
          const call = [
            [field('pay', { directiveKeys: [directive], argumentKey: argument, required })],
            { requestKeys: { extension, header } },
          ] as const;
          const sent = new Set([directive, argument, extension, header].filter((key) => key !== undefined));
          if (sent.size > 1) refused('IDEMPOTENCY_KEY_CONFLICT', ...call);
          else if (sent.size === 1 || !required)
            expect(keysOf(...call)).toEqual([...sent, undefined].slice(0, 1));
          else refused('IDEMPOTENCY_KEY_MISSING', ...call);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is missing when it is required and no source has one; the error says how to send one', () => {
    const { message } = refused('IDEMPOTENCY_KEY_MISSING', [field('pay', { argumentKey: null })], {
      requestKeys: { extension: null, header: undefined },
    });
    expect(message).toContain('Mutation.pay');
    expect(message).toContain('Idempotency-Key');
    expect(message).toContain('extensions.idempotencyKey');
    expect(message).toContain('@idempotent(key:)');
  });

  it('may be absent when it is not required', () => {
    expect(keysOf([field('pay', { required: false })])).toEqual([undefined]);
  });

  it('is missing when its directive has no value, whatever other sources say', () => {
    for (const required of [true, false]) {
      for (const directiveKeys of [[null], ['k', null], [null, 'k'], [undefined, null]]) {
        refused('IDEMPOTENCY_KEY_MISSING', [field('pay', { required, directiveKeys, argumentKey: 'k' })], {
          requestKeys: { extension: 'k', header: 'k' },
        });
      }
    }
  });

  it('is invalid when empty, which is not the same as absent', () => {
    const calls: Call[] = [
      [[field('pay', { required: false, directiveKeys: [''] })]],
      [[field('pay', { required: false, argumentKey: '' })]],
      [[field('pay', { required: false })], { requestKeys: { extension: '' } }],
      [[field('pay', { required: false })], { requestKeys: { header: '' } }],
      [[field('pay', { required: false })], { requestKeys: { header: '""' } }],
    ];
    for (const call of calls) {
      expect(refused('IDEMPOTENCY_KEY_INVALID', ...call).message).toContain('empty');
    }
  });

  it('is absent when no header was sent at all', () => {
    refused('IDEMPOTENCY_KEY_MISSING', [field('pay')], { requestKeys: { header: [] } });
  });

  it('is invalid when a source has something else than a string', () => {
    for (const value of [1, true, {}, ['k'], false, 0]) {
      refused('IDEMPOTENCY_KEY_INVALID', [field('pay')], { requestKeys: { extension: value } });
      refused('IDEMPOTENCY_KEY_INVALID', [field('pay', { argumentKey: value })]);
      refused('IDEMPOTENCY_KEY_INVALID', [field('pay', { directiveKeys: [value] })]);
    }
  });

  it('has its form checked before sources are compared', () => {
    refused('IDEMPOTENCY_KEY_INVALID', [field('pay', { directiveKeys: ['k'] })], {
      requestKeys: { header: 'a, b' },
    });
    refused('IDEMPOTENCY_KEY_INVALID', [field('pay', { directiveKeys: ['k', 'a b'] })]);
  });

  it('must have the demanded format in every source', () => {
    const keyFormat = /^order-/;
    const calls: Call[] = [
      [[field('pay', { directiveKeys: ['k'] })], { keyFormat }],
      [[field('pay', { argumentKey: 'k' })], { keyFormat }],
      [[field('pay')], { keyFormat, requestKeys: { extension: 'k' } }],
      [[field('pay')], { keyFormat, requestKeys: { header: 'k' } }],
    ];
    for (const call of calls) {
      refused('IDEMPOTENCY_KEY_INVALID', ...call);
    }
    expect(keysOf([field('pay')], { keyFormat, requestKeys: { header: 'order-1' } })).toEqual(['order-1']);
  });

  it('does not differ between merged selections, where those without the directive have no say', () => {
    expect(keysOf([field('pay', { directiveKeys: ['k', undefined, 'k'] })])).toEqual(['k']);
    const { message } = refused('IDEMPOTENCY_KEY_CONFLICT', [
      field('pay', { directiveKeys: ['k', 'other'] }),
    ]);
    expect(message).toContain('merged');
  });

  it('names the sources that disagree, and no key', () => {
    const { message } = refused('IDEMPOTENCY_KEY_CONFLICT', [field('pay', { directiveKeys: ['key-one'] })], {
      requestKeys: { header: 'key-two' },
    });
    expect(message).toContain('@idempotent(key:)');
    expect(message).toContain('Idempotency-Key');
    expect(message).not.toMatch(/key-one|key-two/);
  });
});

describe('the keys of several guarded fields', () => {
  it('are their own, in the order of the fields', () => {
    const fields = [field('pay', { directiveKeys: ['a'] }), field('refund', { argumentKey: 'b' })];
    expect(keysOf(fields)).toEqual(['a', 'b']);
  });

  it('are not in the header or the extension, even if each field has one of its own', () => {
    for (const requestKeys of [{ header: 'a' }, { extension: 'a' }]) {
      for (const own of [undefined, 'a']) {
        const fields = [field('pay', { directiveKeys: [own] }), field('refund', { directiveKeys: ['b'] })];
        const { message } = refused('IDEMPOTENCY_KEY_AMBIGUOUS', fields, { requestKeys });
        expect(message).toContain('@idempotent(key:)');
        expect(message).toContain('Mutation.pay');
        expect(message).toContain('Mutation.refund');
      }
    }
  });

  it('are all different', () => {
    const fields = [
      field('pay', { directiveKeys: ['a'], responseName: 'first' }),
      field('refund', { directiveKeys: ['b'] }),
      field('pay', { argumentKey: 'a', responseName: 'second' }),
    ];
    const { message } = refused('IDEMPOTENCY_KEY_CONFLICT', fields);
    expect(message).toContain('"first"');
    expect(message).toContain('"second"');
  });

  it('may be called like properties of objects', () => {
    const names = ['__proto__', 'constructor', 'toString'];
    expect(keysOf(names.map((key, index) => field(`f${index}`, { directiveKeys: [key] })))).toEqual(names);
  });

  it('may be absent for the fields that do not require one', () => {
    const fields = [
      field('pay', { directiveKeys: ['a'] }),
      field('note', { required: false }),
      field('tag', { required: false }),
    ];
    expect(keysOf(fields)).toEqual(['a', undefined, undefined]);
  });

  it('are missing where required, and the error offers only what would help', () => {
    const { message } = refused('IDEMPOTENCY_KEY_MISSING', [
      field('pay', { directiveKeys: ['a'] }),
      field('refund'),
    ]);
    expect(message).toContain('Mutation.refund');
    expect(message).toContain('@idempotent(key:)');
    expect(message).not.toContain('Idempotency-Key');
  });
});

describe('a request key', () => {
  it('that several entries of a batch share is ambiguous for an entry with a guarded field', () => {
    for (const own of [undefined, 'k']) {
      const fields = [field('pay', { directiveKeys: [own] })];
      const header = refused('IDEMPOTENCY_KEY_AMBIGUOUS', fields, {
        requestKeys: { header: 'k' },
        headerShared: true,
      });
      expect(header.message).toContain('batch');
      expect(header.message).toContain('@idempotent(key:)');
      refused('IDEMPOTENCY_KEY_AMBIGUOUS', fields, {
        requestKeys: { extension: 'k' },
        extensionShared: true,
      });
    }
  });

  it('is not ambiguous because the batch shares another source', () => {
    const fields = [field('pay')];
    expect(keysOf(fields, { requestKeys: { extension: 'k' }, headerShared: true })).toEqual(['k']);
    expect(keysOf(fields, { requestKeys: { header: 'k' }, extensionShared: true })).toEqual(['k']);
  });

  it('is ignored where no guarded field runs, even if it is no key at all', () => {
    expect(keysOf([], { requestKeys: { header: 'a, b', extension: 1 }, headerShared: true })).toEqual([]);
  });
});
