/** Which errors are remembered, which are forgotten, and what a client is told of each. */

import { FinalError } from 'graphql-idempotency';
import { GraphQLError } from 'graphql';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';
import { expectRefusal } from '../apollo/refusal.ts';

let service: Service;
let act: (call: PayCall) => unknown;
let storeError: (error: unknown, field: { readonly coordinate: string }) => boolean;
let keys = 0;
let key: string;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    options: { poolSize: 1, storeError: (error, field) => storeError(error, field) },
    pay: async (call) => {
      await call.insert();
      return act(call);
    },
  });
});
beforeEach(() => {
  key = `errors-${(keys += 1)}`;
  storeError = () => false;
});
afterAll(() => service.stop());

const failing = (error: unknown) => (): never => {
  throw error;
};

/** Sends, mends the resolver, and sends again. */
async function sendTwice(failure: (call: PayCall) => unknown) {
  const payments = (await service.payments()).length;
  const records = await service.records();
  const runs = service.runs();
  act = failure;
  const first = await service.send({ key });
  act = ({ args }) => ({ id: 'mended', amount: args.amount });
  const second = await service.send({ key });
  return {
    first,
    second,
    runs: service.runs() - runs,
    payments: (await service.payments()).length - payments,
    records: (await service.records()) - records,
  };
}

async function expectForgotten(failure: (call: PayCall) => unknown) {
  const { first, second, ...counts } = await sendTwice(failure);
  expect(first.body.errors).toHaveLength(1);
  expect(first.body.extensions).toBeUndefined();
  expect(second.body.data.pay.id).toBe('mended');
  expect(second.body.extensions.idempotency.pay.outcome).toBe('executed');
  expect(counts).toEqual({ runs: 2, payments: 1, records: 1 });
  return first;
}

async function expectRemembered(failure: (call: PayCall) => unknown) {
  const { first, second, ...counts } = await sendTwice(failure);
  expect(first.body.data).toEqual({ pay: null });
  expect(first.body.extensions.idempotency.pay.outcome).toBe('executed');
  expect(second.body.data).toEqual({ pay: null });
  expect(second.body.errors).toEqual(first.body.errors);
  expect(second.status).toBe(first.status);
  expect(second.body.extensions.idempotency.pay.outcome).toBe('replayed');
  expect(second.headers.get('idempotent-replayed')).toBe('true');
  expect(counts).toEqual({ runs: 1, payments: 0, records: 1 });
  return { first, second };
}

describe('is forgotten, rolls back, and a retry executes:', () => {
  test.each<readonly [string, (call: PayCall) => unknown, RegExp]>([
    ['an error that is thrown', failing(new Error('plain')), /^plain$/],
    ['an error that is returned', () => new Error('returned'), /^returned$/],
    ['an error that a promise is resolved with', async () => new TypeError('resolved'), /^resolved$/],
    [
      'a GraphQLError',
      failing(new GraphQLError('told', { extensions: { code: 'BAD_USER_INPUT' } })),
      /^told$/,
    ],
    ['what is thrown and no error', failing('text'), /text/],
    ['nothing, thrown', failing(undefined), /undefined/],
    ['a broken constraint', ({ tx }) => tx.query('insert into payments (amount) values (null)'), /not-null/],
  ])('%s', async (_what, failure, message) => {
    const first = await expectForgotten(failure);
    expect(first.body.data).toEqual({ pay: null });
    expect(first.body.errors[0].message).toMatch(message);
  });
});

describe('FinalError', () => {
  test.each<readonly [string, (call: PayCall) => unknown]>([
    ['thrown', failing(new FinalError('declined'))],
    ['rejected', () => Promise.reject(new FinalError('declined'))],
    ['returned', () => new FinalError('declined')],
    [
      'made of a broken constraint',
      ({ tx }) =>
        tx.query('insert into payments (amount) values (null)').catch((cause: unknown) => {
          throw new FinalError('declined', { cause });
        }),
    ],
  ])('%s is remembered, and its writes are not', async (_how, failure) => {
    const { first } = await expectRemembered(failure);
    expect(first.body.errors[0].message).toBe('declined');
  });

  test('is replayed with its extensions and status, and without headers', async () => {
    const { first, second } = await expectRemembered(
      failing(
        new FinalError('declined', {
          extensions: {
            code: 'CARD_DECLINED',
            details: { attempts: 3, at: new Date(0), none: null },
            http: { status: 402, headers: new Map([['set-cookie', 'session=secret']]) },
          },
        }),
      ),
    );
    expect(first.status).toBe(402);
    expect(second.body.errors[0].extensions).toEqual({
      code: 'CARD_DECLINED',
      details: { attempts: 3, at: '1970-01-01T00:00:00.000Z', none: null },
    });
    expect(first.headers.get('set-cookie')).toBe('session=secret');
    expect(second.headers.get('set-cookie')).toBeNull();
  });

  test('is compared like a result: other arguments are refused', async () => {
    await expectRemembered(failing(new FinalError('declined')));
    expectRefusal(await service.send({ key, variables: { amount: 5 } }), 'KEY_REUSED', 422);
  });

  test('that cannot be stored is not final', async () => {
    const { first, second } = await sendTwice(
      failing(new FinalError('declined', { extensions: { callback: () => {} } })),
    );
    expectRefusal(first, 'RESULT_UNSERIALIZABLE', 500);
    expect(first.body.errors[0].message).toMatch(/error\.extensions\.callback/);
    expect(second.body.extensions.idempotency.pay.outcome).toBe('executed');
  });
});

describe('storeError', () => {
  test('chooses what else is remembered, and is told of which field', async () => {
    const asked: unknown[] = [];
    storeError = (error, { coordinate }) => {
      asked.push([error, coordinate]);
      return error instanceof RangeError;
    };
    const range = new RangeError('out of range');
    const { first } = await expectRemembered(failing(range));
    expect(first.body.errors[0].message).toBe('out of range');
    expect(asked).toEqual([[range, 'Mutation.pay']]);
    key += '-other';
    await expectForgotten(failing(new TypeError('of another type')));
  });

  test('keeps the extensions of a GraphQLError, and of others nothing but the message', async () => {
    storeError = () => true;
    const named = await expectRemembered(
      failing(new GraphQLError('told', { extensions: { code: 'TOLD', field: 'amount' } })),
    );
    expect(named.second.body.errors[0].extensions).toEqual({ code: 'TOLD', field: 'amount' });
    key += '-other';
    const error = Object.assign(new Error('plain'), { secret: 'internals', cause: new Error('internals') });
    const plain = await expectRemembered(failing(error));
    expect(JSON.stringify(plain.second.body)).not.toMatch(/internals/);
  });

  test('must say true: a promise is no answer', async () => {
    storeError = (async () => true) as unknown as typeof storeError;
    await expectForgotten(failing(new Error('plain')));
  });

  test('that throws remembers nothing, and holds neither connection nor key', async () => {
    storeError = failing(new Error('in storeError'));
    const first = await expectForgotten(failing(new Error('plain')));
    expect(first.body.errors[0].message).toBe('plain');
    expect(service.log).toContainEqual(
      expect.objectContaining({ level: 'error', message: expect.stringMatching(/storeError/) }),
    );
  });
});

describe('an error that Postgres caused is never final', () => {
  const raise = (state: string) => (call: PayCall) =>
    call.tx.query(`do $$ begin raise exception 'secret detail' using errcode = '${state}'; end $$`);

  test.each(['40001', '40P01', '57014', '57P05', '08006', '40003'])('%s, as it is', async (state) => {
    storeError = () => true;
    const first = await expectForgotten(raise(state));
    expectRefusal(first, 'TRANSACTION_ABORTED', 503);
    expect(first.headers.get('retry-after')).toBe('1');
    expect(JSON.stringify(first.body)).not.toMatch(/secret/);
  });

  test.each<readonly [string, (error: unknown) => unknown]>([
    ['as the cause of a FinalError', (cause) => new FinalError('declined', { cause })],
    [
      'deeper down',
      (cause) => new FinalError('declined', { cause: new Error('a', { cause: new Error('b', { cause }) }) }),
    ],
    [
      'as the original of a GraphQLError',
      (error) => new GraphQLError('told', { originalError: error as Error }),
    ],
    // Nothing in it tells what it was made of, but the transaction knows.
    [
      'in the text of a FinalError alone',
      (error) => new FinalError(`declined: ${(error as Error).message.length}`),
    ],
    ['returned', (error) => error],
  ])('wrapped %s', async (_how, wrap) => {
    storeError = () => true;
    const failure = (call: PayCall): Promise<unknown> =>
      raise('40001')(call).catch((error: unknown) => {
        const wrapped = wrap(error);
        if (wrapped === error) return error;
        throw wrapped;
      });
    expectRefusal(await expectForgotten(failure), 'TRANSACTION_ABORTED', 503);
  });

  test('a statement timeout', async () => {
    storeError = () => true;
    const failure = async ({ tx }: PayCall): Promise<void> => {
      await tx.query('set local statement_timeout = 20');
      await tx.query('select pg_sleep(5)');
    };
    expectRefusal(await expectForgotten(failure), 'TRANSACTION_ABORTED', 503);
  });

  test('but one within a savepoint that the resolver rolled back is its own business', async () => {
    const { first } = await expectRemembered(async (call) => {
      await call.tx.query('savepoint s');
      await raise('40001')(call).catch(() => {});
      await call.tx.query('rollback to s');
      throw new FinalError('declined');
    });
    expect(first.body.errors[0].message).toBe('declined');
  });
});
