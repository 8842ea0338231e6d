/** How an attempt of lease mode ends: with an answer that is kept, or with an outcome that nobody knows. */

import { FinalError } from 'graphql-idempotency';
import { GraphQLError } from 'graphql';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { raise, startLeases } from './leases.ts';
import type { Call, Leases } from './leases.ts';

let leases: Leases;
let storeError: (error: unknown, field: { readonly coordinate: string }) => boolean;
let keys = 0;
let key: string;
beforeAll(async () => {
  leases = await startLeases({
    storeError: (error, field) => storeError(error, field),
    maxResultBytes: 2000,
  });
});
beforeEach(() => {
  key = `ends-${(keys += 1)}`;
  storeError = () => false;
  leases.counts.runs = 0;
  leases.log.length = 0;
});

async function expectFinal(act: (call: Call) => unknown) {
  leases.during = act;
  const first = await leases.call('rerun', key);
  leases.during = () => 'executed again';
  const again = await leases.call('rerun', key);
  expect(leases.counts.runs).toBe(1);
  expect(again.error?.message).toBe(first.error?.message);
  expect(again.error?.extensions).toEqual(first.error?.extensions);
  expect(await leases.row(key)).toMatchObject({ state: 'completed', outcome: 'error', attempt: 1 });
  return first;
}

/** Whatever the field's policy, and without waiting for the end of the lease. */
async function expectUnknown(act: (call: Call) => unknown) {
  leases.during = act;
  const first = await leases.call('refuse', key);
  expect(first.code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(first.error?.extensions).toMatchObject({ retryable: true, retryAfterMs: 1000 });
  const row = await leases.row(key);
  expect(row).toMatchObject({ state: 'unknown', attempt: 1, outcome: null, body: null });
  expect(row!.abandoned_at).toBeInstanceOf(Date);
  leases.during = () => 'executed again';
  const again = await leases.call('refuse', key);
  expect(again.code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(leases.counts.runs).toBe(1);
  return first;
}

describe('a FinalError is the answer:', () => {
  const declined = (): FinalError =>
    new FinalError('declined', { extensions: { code: 'CARD_DECLINED', n: 1n } });
  test.each<readonly [string, (call: Call) => unknown]>([
    ['thrown', () => raise(declined())],
    ['rejected', () => Promise.reject(declined())],
    ['returned', () => declined()],
    ['that a promise is resolved with', async () => declined()],
    ['thrown after a step', ({ step }) => step('a', () => 1).then(() => raise(declined()))],
  ])('%s', async (_how, act) => {
    const first = await expectFinal(act);
    expect(first.error).toMatchObject({ message: 'declined', extensions: { code: 'CARD_DECLINED', n: 1n } });
    expect(await leases.steps(key)).toEqual([]);
  });

  test('one that cannot be stored is told once, and then that it is done', async () => {
    leases.during = () => raise(new FinalError('declined', { extensions: { f: () => 1 } }));
    expect((await leases.call('rerun', key)).error?.message).toBe('declined');
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_RESULT_OMITTED');
    key += '-large';
    leases.during = () => raise(new FinalError('x'.repeat(3000)));
    expect((await leases.call('rerun', key)).error?.message).toHaveLength(3000);
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_RESULT_OMITTED');
    expect(leases.counts.runs).toBe(2);
    expect(leases.log.map(({ level, message }) => [level, message])).toEqual([
      ['error', expect.stringMatching(/its extensions are not plain data/)],
      ['error', expect.stringMatching(/the error takes \d+ bytes/)],
    ]);
  });
});

describe('storeError', () => {
  test('chooses what else is the answer, by field', async () => {
    const seen: unknown[] = [];
    storeError = (error, { coordinate }) => {
      seen.push(coordinate);
      return (error as Error).message === 'chosen';
    };
    const first = await expectFinal(() => raise(new TypeError('chosen')));
    expect(first.error?.message).toBe('chosen');
    expect(seen).toEqual(['Mutation.rerun']);
    key += '-other';
    leases.counts.runs = 0;
    await expectUnknown(() => raise(new Error('not chosen')));
  });

  test.each<readonly [string, () => boolean]>([
    ['throws', () => raise(new Error('in storeError'))],
    ['returns a promise', (async () => true) as unknown as () => boolean],
    ['returns a promise that rejects', (async () => raise(new Error('late'))) as unknown as () => boolean],
    ['returns what is only truthy', () => 1 as unknown as boolean],
  ])('that %s chooses nothing', async (_how, choice) => {
    storeError = choice;
    await expectUnknown(() => raise(new Error('plain')));
  });
});

describe('any other error leaves the outcome unknown, at once:', () => {
  const posted = (code: string): Error =>
    Object.assign(new Error('secret text'), { code, severity: 'ERROR' });
  test.each<readonly [string, (call: Call) => unknown]>([
    ['an Error', () => raise(new Error('secret text'))],
    ['one that is returned', () => new Error('secret text')],
    ['a GraphQLError without a code', () => raise(new GraphQLError('secret text'))],
    ['another code', () => raise(new GraphQLError('secret text', { extensions: { code: 'BAD_REQUEST' } }))],
    [
      'a code on what is no GraphQLError',
      () => raise(Object.assign(new Error('secret text'), { extensions: { code: 'FORBIDDEN' } })),
    ],
    ['what is no error', () => raise('secret text')],
    ['nothing, thrown', () => raise(undefined)],
    ['an aborted signal', () => raise(AbortSignal.abort().reason)],
    ['after a step', ({ step }) => step('a', () => 1).then(() => raise(new Error('secret text')))],
    ['of a step', ({ step }) => step('a', () => raise(new Error('secret text')))],
    ['a serialization failure', () => raise(posted('40001'))],
  ])('%s', async (_what, act) => {
    let cause: unknown = 'none';
    const first = await expectUnknown(async (call) => {
      try {
        const value = await act(call);
        if (value instanceof Error) cause = value;
        return value;
      } catch (error) {
        throw (cause = error);
      }
    });
    expect(JSON.stringify(first)).not.toMatch(/secret/);
    expect(first.error?.message).toMatch(
      /^Mutation\.refuse: .*Retry with the same key, never with a new one\.$/,
    );
    // Where nothing was thrown, there is no cause to be told.
    const told = leases.log.filter(({ facts }) => facts?.code === 'IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(told.map(({ level, facts }) => [level, facts?.cause])).toEqual(
      cause === undefined ? [] : [['warn', cause]],
    );
  });
});

describe('H12: an error that Postgres caused is never final', () => {
  test.each(['40001', '40P01', '57014', '57P01', '08006'])('%s', async (code) => {
    storeError = () => true;
    const error = Object.assign(new Error('of the database'), { code, severity: 'ERROR' });
    const wrapped: readonly unknown[] = [
      error,
      new FinalError('declined', { cause: error }),
      new FinalError('declined', {
        cause: new Error('a', { cause: new GraphQLError('b', { originalError: error }) }),
      }),
    ];
    for (const [index, thrown] of wrapped.entries()) {
      key = `${key}-${index}`;
      leases.counts.runs = 0;
      await expectUnknown(() => raise(thrown));
    }
  });

  test('and a field that may run again does so', async () => {
    storeError = () => true;
    leases.during = ({ attempt }) =>
      attempt === 1
        ? raise(Object.assign(new Error('deadlock'), { code: '40P01', severity: 'ERROR' }))
        : attempt;
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect((await leases.call('rerun', key)).value).toBe(2);
    expect((await leases.call('rerun', key)).value).toBe(2);
    expect(await leases.row(key)).toMatchObject({ state: 'completed', outcome: 'result', attempt: 2 });
  });

  test('but other errors of a database are as any other', async () => {
    storeError = () => true;
    await expectFinal(() => raise(Object.assign(new Error('unique'), { code: '23505', severity: 'ERROR' })));
  });
});

describe('RERUN', () => {
  test('executes again until maxAttempts, and then never', async () => {
    const few = await startLeases({ beside: leases, maxAttempts: 3 });
    const attempts: number[] = [];
    few.during = ({ attempt }) => {
      attempts.push(attempt);
      throw new Error('again');
    };
    for (let call = 0; call < 5; call += 1)
      expect((await few.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(attempts).toEqual([1, 2, 3]);
    expect(await few.row(key)).toMatchObject({ state: 'unknown', attempt: 3 });
  });

  test('of simultaneous retries, one executes', async () => {
    const beside = await startLeases({ beside: leases });
    leases.during = () => raise(new Error('again'));
    await leases.call('rerun', key);
    const both = [leases, beside];
    for (const one of both) one.during = ({ attempt }) => attempt;
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => both[index % 2]!.call('rerun', key)),
    );
    for (const { value, code } of answers)
      expect(value === 2 || code === 'IDEMPOTENCY_IN_PROGRESS').toBe(true);
    expect(leases.counts.runs + beside.counts.runs).toBe(2);
    expect((await leases.call('rerun', key)).value).toBe(2);
  });

  test('REFUSE executes nothing until somebody settles it', async () => {
    leases.during = () => raise(new Error('once'));
    await leases.call('refuse', key);
    leases.during = () => 'executed again';
    for (let call = 0; call < 3; call += 1)
      expect((await leases.call('refuse', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    const identity = leases.identity(key).toString('hex');
    expect(await leases.idempotency.resolve(identity, { outcome: 'completed', result: 'found' })).toBe(
      'resolved',
    );
    expect((await leases.call('refuse', key)).value).toBe('found');
    expect(leases.counts.runs).toBe(1);
  });
});
