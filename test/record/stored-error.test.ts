/** What a retry gets of an error that is remembered. */

import { GraphQLError } from 'graphql';
import { describe, expect, test } from 'vitest';
import { FinalError } from '../../src/errors/final-error.ts';
import { IdempotencyError } from '../../src/errors/idempotency-error.ts';
import { UnserializableError } from '../../src/record/codec.ts';
import { decodeError, encodeError } from '../../src/record/stored-error.ts';

const again = (error: unknown): GraphQLError => decodeError(encodeError(error));

describe('a remembered error', () => {
  test('keeps its message and its extensions, dates and bigints among them', () => {
    const extensions = { code: 'CARD_DECLINED', at: new Date(5), cents: 10n ** 20n, reasons: ['x', null] };
    const back = again(new FinalError('The card was declined. ✗', { extensions }));
    expect(back).toBeInstanceOf(GraphQLError);
    expect(back.message).toBe('The card was declined. ✗');
    expect({ ...back.extensions }).toStrictEqual(extensions);
  });

  test('keeps the HTTP status and none of the headers', () => {
    const http = { status: 402, headers: new Map([['set-cookie', 'session=secret']]) };
    const body = encodeError(new FinalError('declined', { extensions: { code: 'X', http } }));
    expect(body.toString()).not.toContain('secret');
    expect({ ...decodeError(body).extensions }).toStrictEqual({ code: 'X', http: { status: 402 } });
  });

  test.each([null, undefined, 'x', { status: '402' }, { headers: new Map() }])(
    'drops an `http` that has no status: %j',
    (http) => {
      expect({
        ...again(new FinalError('x', { extensions: { http: http as never } })).extensions,
      }).toStrictEqual({});
    },
  );

  test('keeps nothing of its stack, cause, path or original error', () => {
    const secret = new Error('secret cause');
    const error = new GraphQLError('visible', { originalError: secret, path: ['pay', 'secret'] });
    const body = encodeError(error);
    expect(body.toString()).not.toMatch(/secret|stack/);
    expect(decodeError(body).path).toBeUndefined();
    expect(decodeError(body).originalError).toBeUndefined();
  });

  test.each<[unknown, string]>([
    [new Error('plain'), 'plain'],
    [new TypeError(''), ''],
    ['a text', 'a text'],
    [undefined, 'undefined'],
    [42n, '42'],
  ])('that is no GraphQLError keeps its message alone: %s', (thrown, message) => {
    const back = again(thrown);
    expect(back.message).toBe(message);
    expect({ ...back.extensions }).toStrictEqual({});
  });

  test('is made anew for every response', () => {
    const body = encodeError(new FinalError('x', { extensions: { list: [1] } }));
    const first = decodeError(body);
    (first.extensions['list'] as number[]).push(2);
    first.extensions['extra'] = true;
    expect({ ...decodeError(body).extensions }).toStrictEqual({ list: [1] });
  });

  test('of the library itself comes back as what it was, with the status and the retry advice of its code', () => {
    const back = again(new IdempotencyError('IDEMPOTENCY_TRANSACTION_BROKEN', 'Mutation.pay: broken.'));
    expect(back).toBeInstanceOf(IdempotencyError);
    expect(back.message).toBe('Mutation.pay: broken.');
    expect(back.extensions).toMatchObject({
      code: 'IDEMPOTENCY_TRANSACTION_BROKEN',
      retryable: false,
      http: { status: 500 },
    });
  });

  test('whose extensions cannot be kept is refused with their place', () => {
    const extensions = { charge: { refund: () => {} } };
    expect(() => encodeError(new FinalError('x', { extensions }))).toThrow(UnserializableError);
    try {
      encodeError(new FinalError('x', { extensions }));
    } catch (error) {
      expect((error as UnserializableError).path).toBe('.extensions.charge.refund');
    }
  });
});
