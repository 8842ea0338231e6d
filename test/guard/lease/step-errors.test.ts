/** Errors of steps: which are journaled, and what an attempt may not do that its predecessor's steps forbid. */

import { FinalError, IdempotencyError, NotExecutedError } from 'graphql-idempotency';
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
  key = `step-errors-${(keys += 1)}`;
  storeError = () => false;
  leases.counts.runs = 0;
  leases.log.length = 0;
});

/** A first attempt whose resolver swallows what its step throws, and ends as one that is killed. */
async function crashAfter(act: (call: Call) => unknown): Promise<unknown> {
  let thrown: unknown = 'nothing';
  leases.during = async (call) => {
    try {
      await act(call);
    } catch (error) {
      thrown = error;
    }
    throw new Error('crash');
  };
  expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  return thrown;
}

describe('a final error of a step is thrown again by the next attempt, and is its answer:', () => {
  const declined = (): FinalError =>
    new FinalError('declined', { extensions: { code: 'CARD_DECLINED', at: new Date(5) } });
  test.each<readonly [string, (call: Call, run: () => unknown) => Promise<unknown>]>([
    ['of a step', ({ step }, run) => step('a', run)],
    ['of a step with a transaction', ({ step }, run) => step.transaction('a', run)],
  ])('%s', async (_of, act) => {
    const error = declined();
    expect(await crashAfter((call) => act(call, () => raise(error)))).toBe(error);
    expect(await leases.steps(key)).toEqual([{ name: 'a', outcome: 'error', attempt: 1 }]);
    let ran = false;
    let recalled: unknown;
    leases.during = (call) =>
      act(call, () => (ran = true)).catch((caught: unknown) => raise((recalled = caught)));
    for (let call = 0; call < 2; call += 1) {
      const { error: told } = await leases.call('rerun', key);
      expect({ message: told?.message, extensions: told?.extensions }).toEqual({
        message: 'declined',
        extensions: { code: 'CARD_DECLINED', at: new Date(5) },
      });
    }
    expect(ran).toBe(false);
    expect(recalled).toBeInstanceOf(FinalError);
    expect(leases.counts.runs).toBe(2);
    expect(await leases.row(key)).toMatchObject({ state: 'completed', outcome: 'error', attempt: 2 });
  });

  test('a resolver may catch it, and go on', async () => {
    await crashAfter(({ step }) => step('a', () => raise(declined())));
    leases.during = ({ step }) => step('a', () => 1).catch((error: Error) => `instead: ${error.message}`);
    expect((await leases.call('rerun', key)).value).toBe('instead: declined');
  });

  test('one that cannot be stored is done all the same', async () => {
    await crashAfter(({ step }) => step('a', () => raise(new FinalError('x'.repeat(3000)))));
    expect(await leases.steps(key)).toEqual([{ name: 'a', outcome: 'omitted', attempt: 1 }]);
    leases.during = ({ step }) => step('a', () => 'ran again');
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  });
});

describe('what is not final is not recorded, and the step runs again:', () => {
  test.each<readonly [string, () => unknown]>([
    ['an Error', () => raise(new Error('timeout'))],
    ['a GraphQLError', () => raise(new GraphQLError('no', { extensions: { code: 'FORBIDDEN' } }))],
    ['NotExecutedError', () => raise(new NotExecutedError('closed'))],
    ['nothing, thrown', () => raise(undefined)],
  ])('%s', async (_what, run) => {
    await crashAfter(({ step }) => step('a', run));
    await crashAfter(({ step }) => step.transaction('b', run));
    expect(await leases.steps(key)).toEqual([]);
    leases.during = async ({ step }) => [await step('a', () => 1), await step.transaction('b', () => 2)];
    expect((await leases.call('rerun', key)).value).toEqual([1, 2]);
  });

  test('an error that is returned is a result like any other, which cannot be stored', async () => {
    await crashAfter(({ step }) => step('a', () => new Error('returned')));
    expect(await leases.steps(key)).toEqual([{ name: 'a', outcome: 'omitted', attempt: 1 }]);
  });
});

describe('which others are final', () => {
  test.each<readonly [string, (call: Call, run: () => unknown) => Promise<unknown>, boolean]>([
    [
      'isFinal says',
      ({ step }, run) => step('a', run, { isFinal: (e) => (e as Error).message === 'gone' }),
      true,
    ],
    ['isFinal denies', ({ step }, run) => step('a', run, { isFinal: () => false }), false],
    [
      'isFinal says truthily',
      ({ step }, run) => step('a', run, { isFinal: () => 1 as unknown as boolean }),
      false,
    ],
  ])('%s', async (_who, act, final) => {
    await crashAfter((call) => act(call, () => raise(new TypeError('gone'))));
    leases.during = (call) => act(call, () => 'ran again');
    const again = await leases.call('rerun', key);
    expect(final ? again.error?.message : again.value).toBe(final ? 'gone' : 'ran again');
  });

  test('what isFinal says is the answer of the call, if the resolver lets it through', async () => {
    leases.during = ({ step }) => step('a', () => raise(new TypeError('gone')), { isFinal: () => true });
    const first = await leases.call('rerun', key);
    expect([first.error?.message, first.code]).not.toContain('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(first.error?.message).toBe('gone');
    leases.during = () => 'ran again';
    expect((await leases.call('rerun', key)).error?.message).toBe('gone');
  });

  test('storeError says, of steps with a transaction too', async () => {
    storeError = (error, { coordinate }) =>
      coordinate === 'Mutation.rerun' && (error as Error).message === 'gone';
    await crashAfter(({ step }) => step('a', () => raise(new Error('gone'))));
    await crashAfter(async ({ step }) => {
      await step('a', () => 1).catch(() => {});
      await step.transaction('b', () => raise(new Error('gone')));
    });
    expect((await leases.steps(key)).map(({ name, outcome }) => [name, outcome])).toEqual([
      ['a', 'error'],
      ['b', 'error'],
    ]);
  });

  test('an isFinal that throws leaves the outcome unknown, and the step unrecorded', async () => {
    leases.during = ({ step }) =>
      step('a', () => raise(new Error('x')), { isFinal: () => raise(new Error('in isFinal')) });
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(await leases.steps(key)).toEqual([]);
  });

  test.each(['40001', '57014', '08006'])('never what Postgres caused: %s', async (code) => {
    storeError = (error) => (error as Error).message !== 'crash';
    const error = Object.assign(new Error('of the database'), { code, severity: 'ERROR' });
    const isFinal = (): boolean => true;
    await crashAfter(({ step }) => step('a', () => raise(error), { isFinal }));
    await crashAfter(({ step }) =>
      step('a', () => raise(new FinalError('no', { cause: error })), { isFinal }),
    );
    await crashAfter(({ step }) =>
      step.transaction('b', () => raise(new FinalError('no', { cause: error }))),
    );
    expect(await leases.steps(key)).toEqual([]);
  });
});

describe("the library's own errors are never an answer, whatever storeError says:", () => {
  const terminate = 'select pg_terminate_backend(pg_backend_pid())';
  const aborted = ({ step }: Call): Promise<unknown> => step.transaction('tx', (tx) => tx.query(terminate));
  test.each<readonly [string, (call: Call) => unknown]>([
    ['thrown on', (call) => aborted(call)],
    ['returned', (call) => aborted(call).catch((error: unknown) => error)],
    ['thrown on by a step around it', (call) => call.step('outer', () => aborted(call))],
    [
      'final by the isFinal of a step around it',
      (call) => call.step('outer', () => aborted(call), { isFinal: () => true }),
    ],
    [
      'thrown on by a step with a transaction around it',
      (call) => call.step.transaction('outer', () => aborted(call)),
    ],
  ])('%s', async (_how, act) => {
    storeError = () => true;
    leases.during = act;
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(await leases.row(key)).toMatchObject({ state: 'unknown' });
    expect(await leases.steps(key)).toEqual([]);
    leases.during = ({ attempt }) => attempt;
    expect((await leases.call('rerun', key)).value).toBe(2);
  });

  test('swallowed, the attempt goes on', async () => {
    storeError = () => true;
    leases.during = async (call) => {
      const error: unknown = await aborted(call).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(IdempotencyError);
      expect((error as IdempotencyError).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
      return 'went on';
    };
    expect((await leases.call('rerun', key)).value).toBe('went on');
  });
});

describe('an attempt that does not call what an earlier one has recorded leaves the outcome unknown:', () => {
  test.each<readonly [string, (call: Call) => unknown]>([
    ['it returned', () => 'done'],
    ['it threw a FinalError', () => raise(new FinalError('declined'))],
    ['it threw NotExecutedError', () => raise(new NotExecutedError('closed'))],
    ['it threw', () => raise(new Error('plain'))],
    ['it called another', ({ step }) => step('charge', () => 1)],
    ['it called one of two', ({ step }) => step('b', () => 1)],
  ])('%s', async (_what, act) => {
    await crashAfter(async ({ step }) => [await step('a', () => 1), await step('b', () => 1)]);
    storeError = () => true;
    leases.during = act;
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(await leases.row(key)).toMatchObject({ state: 'unknown', attempt: 2 });
    const cause = leases.log.at(-1)?.facts?.cause as Error;
    expect(cause.message).toMatch(/^an earlier attempt has done "a"(, "b")?, which this one did not call$/);
    // With the code as it was, it resumes.
    leases.during = async ({ step }) => [
      await step('a', () => 'ran again'),
      await step('b', () => 1),
      await step('charge', () => 1),
    ];
    expect((await leases.call('rerun', key)).value).toEqual([1, 1, 1]);
  });
});
