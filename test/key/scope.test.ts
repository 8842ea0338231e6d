import { GraphQLError } from 'graphql';
import { describe, expect, it } from 'vitest';
import { IdempotencyError } from '../../src/errors/idempotency-error.ts';
import { resolveScope } from '../../src/key/scope.ts';

const coordinates = ['Mutation.pay', 'Mutation.refund'];

async function refused(call: () => unknown): Promise<IdempotencyError> {
  const error: unknown = await resolveScope(call, coordinates).catch((thrown: unknown) => thrown);
  if (!(error instanceof IdempotencyError)) throw new Error('expected an IdempotencyError', { cause: error });
  expect(error.code).toBe('IDEMPOTENCY_SCOPE_MISSING');
  expect(error.extensions.http.status).toBe(500);
  expect(error.message).toContain('Mutation.pay, Mutation.refund');
  return error;
}

describe('the scope', () => {
  it('is the string that the function returns, at once or later, unchanged', async () => {
    await expect(resolveScope(() => 'user-1', coordinates)).resolves.toBe('user-1');
    await expect(resolveScope(async () => ' User-1 ', coordinates)).resolves.toBe(' User-1 ');
  });

  it.each([
    [undefined],
    [null],
    [''],
    [0],
    [1],
    [false],
    [true],
    [{}],
    [[]],
    [['user-1']],
    [Object('user-1')],
    [10n],
  ])('fails closed for %s, returned or resolved', async (value) => {
    await refused(() => value);
    await refused(async () => value);
  });

  it('fails closed for a symbol and a function', async () => {
    await refused(() => Symbol('user-1'));
    await refused(() => () => 'user-1');
  });

  it('fails closed when the function throws or rejects, and keeps the cause to itself', async () => {
    const cause = new TypeError('reading token of undefined');
    const fail = (): never => {
      throw cause;
    };
    for (const call of [fail, async () => fail()]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other is the point
      const error = await refused(call);
      expect(error.cause).toBe(cause);
      expect(JSON.stringify(error.toJSON())).not.toContain('token');
    }
    expect((await refused(() => Promise.reject('a string'))).cause).toBe('a string');
  });

  it('lets a GraphQLError through', async () => {
    const error = new GraphQLError('Log in first.', { extensions: { code: 'UNAUTHENTICATED' } });
    await expect(resolveScope(() => Promise.reject(error), coordinates)).rejects.toBe(error);
  });

  it('fails closed for a thenable whose then throws', async () => {
    const cause = new Error('no');
    // oxlint-disable-next-line unicorn/no-thenable -- that is the hostile part
    const thenable = Object.defineProperty({}, 'then', {
      get: () => {
        throw cause;
      },
    });
    expect((await refused(() => thenable)).cause).toBe(cause);
  });
});
