/** Which errors say that nothing was done, so that the key is free again; and when they are not believed. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { FinalError, NotExecutedError } from 'graphql-idempotency';
import { GraphQLError } from 'graphql';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred } from '../../support/signal.ts';
import { raise, startLeases } from './leases.ts';
import type { Call, Leases } from './leases.ts';

type Choice = (error: unknown, field: { readonly coordinate: string }) => boolean;

let leases: Leases;
let storeError: Choice;
let releaseError: Choice;
let keys = 0;
let key: string;
beforeAll(async () => {
  leases = await startLeases({
    storeError: (error, field) => storeError(error, field),
    releaseError: (error, field) => releaseError(error, field),
  });
});
beforeEach(() => {
  key = `released-${(keys += 1)}`;
  storeError = () => false;
  releaseError = () => false;
  leases.counts.runs = 0;
  leases.log.length = 0;
});

async function expectReleased(act: (call: Call) => unknown) {
  leases.during = act;
  const first = await leases.call('refuse', key);
  expect(await leases.row(key)).toBeUndefined();
  expect(leases.log.filter(({ facts }) => facts?.code !== undefined)).toEqual([]);
  leases.during = ({ attempt }) => attempt;
  // The key stands for nothing any more: not for these arguments either.
  expect(await leases.call('refuse', key, { n: 2 })).toMatchObject({ value: 1, error: undefined });
  expect((await leases.call('refuse', key)).code).toBe('IDEMPOTENCY_KEY_REUSED');
  expect(leases.counts.runs).toBe(2);
  return first;
}

async function expectUnknown(act: (call: Call) => unknown, logged?: RegExp) {
  leases.during = act;
  const { code } = await leases.call('refuse', key);
  expect(code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect((await leases.row(key))?.state).toBe('unknown');
  if (logged !== undefined) {
    expect(leases.log).toContainEqual(
      expect.objectContaining({ level: 'error', message: expect.stringMatching(logged) }),
    );
  }
}

const coded = (code: string): GraphQLError => new GraphQLError('no', { extensions: { code, field: 'n' } });
class Polite extends NotExecutedError {}

describe('the client gets the very error, and a retry executes:', () => {
  test.each<readonly [string, () => unknown, (call: Call, error: unknown) => unknown]>([
    [
      'NotExecutedError',
      () => new NotExecutedError('closed', { extensions: { code: 'CLOSED' } }),
      (_, e) => raise(e),
    ],
    ['one that is rejected', () => new NotExecutedError('closed'), (_, e) => Promise.reject(e)],
    ['one that is returned', () => new NotExecutedError('closed'), (_, e) => e],
    ['one of a class of its own', () => new Polite('closed'), (_, e) => raise(e)],
    ['of a step', () => new NotExecutedError('closed'), ({ step }, e) => step('a', () => raise(e))],
    [
      'of a step with a transaction',
      () => new NotExecutedError('closed'),
      ({ step }, e) => step.transaction('a', () => raise(e)),
    ],
    ['BAD_USER_INPUT', () => coded('BAD_USER_INPUT'), (_, e) => raise(e)],
    ['UNAUTHENTICATED', () => coded('UNAUTHENTICATED'), (_, e) => raise(e)],
    ['FORBIDDEN', () => coded('FORBIDDEN'), (_, e) => raise(e)],
  ])('%s', async (_what, make, act) => {
    const error = make() as GraphQLError;
    const first = await expectReleased((call) => act(call, error));
    expect(first.error?.originalError ?? first.error).toBe(error);
    expect({ message: first.error?.message, extensions: first.error?.extensions }).toEqual({
      message: error.message,
      extensions: error.extensions,
    });
  });
});

describe('releaseError', () => {
  test('chooses what else says so, by field', async () => {
    const seen: unknown[] = [];
    releaseError = (error, { coordinate }) => {
      seen.push(coordinate);
      return error === chosen;
    };
    const chosen = new TypeError('chosen');
    const first = await expectReleased(() => raise(chosen));
    expect(first.error?.originalError).toBe(chosen);
    expect(seen).toEqual(['Mutation.refuse']);
    key += '-other';
    await expectUnknown(() => raise(new TypeError('chosen')));
  });

  test('is not asked about what is final', async () => {
    releaseError = () => true;
    storeError = (error) => (error as Error).message === 'both';
    for (const error of [new FinalError('final'), new Error('both')]) {
      key += '+';
      leases.during = () => raise(error);
      expect((await leases.call('refuse', key)).error?.message).toBe(error.message);
      expect((await leases.row(key))?.outcome).toBe('error');
    }
  });

  test.each<readonly [string, Choice]>([
    ['throws', () => raise(new Error('in releaseError'))],
    ['returns a promise', (async () => true) as unknown as Choice],
    ['returns a promise that rejects', (async () => raise(new Error('late'))) as unknown as Choice],
  ])('that %s chooses nothing, and is told of', async (_how, choice) => {
    releaseError = choice;
    await expectUnknown(() => raise(new Error('plain')), /^Mutation\.refuse: `releaseError` failed/);
  });

  test('that returns what is only truthy chooses nothing', async () => {
    releaseError = () => 'yes' as unknown as boolean;
    await expectUnknown(() => raise(new Error('plain')));
  });

  test('does not free a key over what Postgres caused, or the library has said', async () => {
    releaseError = () => true;
    const deadlock = Object.assign(new Error('deadlock'), { code: '40P01', severity: 'ERROR' });
    await expectUnknown(() => raise(deadlock));
    key += '-wrapped';
    await expectUnknown(() => raise(new NotExecutedError('no', { cause: deadlock })));
    key += '-twice';
    await expectUnknown(async ({ step }) => {
      await step('a', () => 1).catch(() => {});
      await step.transaction('b', (tx) => tx.query('select pg_terminate_backend(pg_backend_pid())'));
    });
  });
});

describe('is not believed, and the outcome is unknown,', () => {
  const closed = (): never => raise(new NotExecutedError('closed'));

  test.each<readonly [string, (call: Call) => unknown]>([
    ['after a step', async ({ step }) => (await step('a', () => 1), closed())],
    [
      'after a step whose result is not stored',
      async ({ step }) => (await step('a', () => () => 1), closed()),
    ],
    ['after a step with a transaction', async ({ step }) => (await step.transaction('a', () => 1), closed())],
    [
      'after the final error of a step',
      async ({ step }) => {
        await step('a', () => raise(new FinalError('declined'))).catch(() => {});
        closed();
      },
    ],
    ['after a step that nobody awaits', ({ step }) => (void step('a', async () => 1), closed())],
    [
      'by input that is wrong after a step',
      async ({ step }) => (await step('a', () => 1), raise(coded('BAD_USER_INPUT'))),
    ],
  ])('%s', async (_when, act) => {
    await expectUnknown(act);
    expect(leases.log).toContainEqual(
      expect.objectContaining({
        facts: expect.objectContaining({
          code: 'IDEMPOTENCY_OUTCOME_UNKNOWN',
          cause: expect.any(GraphQLError),
        }),
      }),
    );
  });

  test('in a second attempt', async () => {
    leases.during = () => raise(new Error('crash'));
    await leases.call('rerun', key);
    leases.during = closed;
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(await leases.row(key)).toMatchObject({ state: 'unknown', attempt: 2 });
    leases.during = ({ attempt }) => attempt;
    expect((await leases.call('rerun', key)).value).toBe(3);
  });

  test('while another step is still under way, and then fails', async () => {
    const failed = deferred();
    leases.during = async ({ step }) => {
      const paying = step('pay', async () => {
        await failed.promise;
        throw new Error('the answer was lost');
      });
      const asking = step('ask', () => closed());
      asking.catch(() => setImmediate(() => failed.resolve()));
      await Promise.all([paying, asking]);
    };
    expect((await leases.call('refuse', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect((await leases.row(key))?.state).toBe('unknown');
  });

  test('of a step that nobody awaits, after the resolver has returned', async () => {
    leases.during = ({ step }) => {
      void step('ask', async () => {
        await nextTurn();
        closed();
      });
      return 'done, outside of steps';
    };
    expect((await leases.call('refuse', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect((await leases.row(key))?.state).toBe('unknown');
  });
});

test('H5: a claim that was released frees nothing of those who claim after it', async () => {
  leases.during = () => raise(new NotExecutedError('closed'));
  await leases.call('refuse', key);
  const [reached, goOn] = [deferred(), deferred()];
  const beside = await startLeases({ beside: leases });
  beside.during = async () => {
    reached.resolve();
    await goOn.promise;
    return 'second';
  };
  const second = beside.call('refuse', key);
  await reached.promise;
  expect((await leases.call('refuse', key)).code).toBe('IDEMPOTENCY_IN_PROGRESS');
  goOn.resolve();
  expect((await second).value).toBe('second');
  expect((await leases.call('refuse', key)).value).toBe('second');
});
