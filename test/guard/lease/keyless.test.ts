/** Fields of lease mode that need no key, called without one: nothing is recorded, and steps just run. */

import { FinalError, NotExecutedError } from 'graphql-idempotency';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred, within } from '../../support/signal.ts';
import { raise, startLeases } from './leases.ts';
import type { Call, Leases } from './leases.ts';

let leases: Leases;
beforeAll(async () => {
  leases = await startLeases();
});
beforeEach(async () => {
  await leases.sql('truncate effects, graphql_idempotency.record cascade');
  leases.counts.runs = 0;
});

const call = () => leases.call('loose', undefined);
const counted = async (): Promise<unknown> =>
  (
    await leases.sql(
      'select (select count(*)::int from graphql_idempotency.record) as records, (select count(*)::int from graphql_idempotency.step) as steps',
    )
  ).rows[0];

test('steps run, each time, and leave no rows', async () => {
  const seen: unknown[] = [];
  leases.during = async ({ step, key, attempt, signal }) => {
    const a = await step('a', (own) => [own.attempt, own.signal.aborted]);
    await step.transaction('b', (tx) => tx.query("insert into effects (name) values ('b')"));
    expect(await counted()).toEqual({ records: 0, steps: 0 });
    seen.push([key, attempt, signal.aborted, a]);
    return 'done';
  };
  expect((await call()).value).toBe('done');
  expect((await call()).value).toBe('done');
  expect(seen).toEqual(Array.from({ length: 2 }, () => [undefined, 1, false, [1, false]]));
  expect(await leases.effects()).toEqual(['b', 'b']);
  expect(await counted()).toEqual({ records: 0, steps: 0 });
});

test('derived keys are those of the steps, and others for every call', async () => {
  const given: string[][] = [];
  leases.during = async ({ step, deriveKey }) => {
    const own: string[] = [];
    for (const name of ['a', 'b']) own.push(await step(name, (one) => one.key));
    own.push(await step.transaction('c', (_tx, one) => one.key));
    expect(own).toEqual(['a', 'b', 'c'].map(deriveKey));
    given.push(own);
  };
  await call();
  await call();
  expect(new Set(given.flat()).size).toBe(6);
});

test.each<readonly [string, () => Error]>([
  ['an Error', () => new Error('plain')],
  ['a FinalError', () => new FinalError('declined')],
  ['NotExecutedError', () => new NotExecutedError('closed')],
])('%s is the error that the client gets, and the next call executes', async (_what, make) => {
  for (const how of ['thrown', 'returned', 'of a step', 'of a transaction'] as const) {
    const error = make();
    leases.during = ({ step }) => {
      if (how === 'thrown') throw error;
      if (how === 'returned') return error;
      if (how === 'of a step') return step('a', () => raise(error));
      return step.transaction('a', async (tx) => {
        await tx.query("insert into effects (name) values ('a')");
        throw error;
      });
    };
    expect((await call()).error?.message).toBe(error.message);
  }
  leases.during = () => 'executed';
  expect((await call()).value).toBe('executed');
  expect(await leases.effects()).toEqual([]);
});

test('a session that dies in a step is TRANSACTION_ABORTED, and says that nothing happened', async () => {
  leases.during = ({ step }) =>
    step.transaction('a', (tx) => tx.query('select pg_terminate_backend(pg_backend_pid())'));
  const { code, error } = await call();
  expect(code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  expect(error?.message).toMatch(/Nothing happened; send it again/);
});

describe('steps keep their rules:', () => {
  test('a name only once', async () => {
    leases.during = async ({ step }) => [await step('a', () => 1), await step('a', () => 2)];
    expect((await call()).error?.message).toMatch(/step "a" was called twice in one attempt/);
  });

  test('a timeout aborts the signal of its step', async () => {
    leases.during = ({ step }) =>
      step(
        'a',
        ({ signal }) =>
          within(new Promise((resolve) => signal.addEventListener('abort', () => resolve('aborted')))),
        { timeout: 20 },
      );
    expect((await call()).value).toBe('aborted');
  });

  test('the answer waits for those that nobody awaits, and tells their failure', async () => {
    const goOn = deferred();
    leases.during = ({ step }) => {
      void step('a', () => goOn.promise);
      return 'done';
    };
    const answer = call();
    let answered = false;
    void answer.then(() => (answered = true));
    await counted();
    expect(answered).toBe(false);
    goOn.resolve();
    expect((await answer).value).toBe('done');

    for (const reason of [new Error('late'), undefined]) {
      leases.during = ({ step }) => {
        void step('a', async () => (await nextTurn(), raise(reason)));
        return 'done';
      };
      expect((await call()).error?.message).toMatch(reason === undefined ? /undefined/ : /^late$/);
    }
  });

  test('one that is called later is refused', async () => {
    let kept: Call['step'] | undefined;
    leases.during = ({ step }) => void (kept = step);
    await call();
    await expect(kept!('late', () => 1)).rejects.toThrow(/after its resolver had settled/);
  });
});

test('no connection is held between steps, nor without any', async () => {
  const narrow = await startLeases({ beside: leases, poolSize: 1, acquireTimeout: 5000 });
  const [reached, goOn] = [deferred(), deferred()];
  narrow.during = async ({ step, args }) => {
    await step.transaction('a', (tx) => tx.query('select 1'));
    if (args.n === 1) {
      reached.resolve();
      await goOn.promise;
    }
    return args.n;
  };
  const first = narrow.call('loose', undefined, { n: 1 });
  await reached.promise;
  expect((await narrow.call('loose', undefined, { n: 2 })).value).toBe(2);
  expect((await narrow.call('loose', 'k', { n: 3 })).value).toBe(3);
  goOn.resolve();
  expect((await first).value).toBe(1);
});

test('with a key it is recorded and replayed, like any other', async () => {
  leases.during = ({ step }) => step('a', () => 1);
  expect((await leases.call('loose', 'k')).value).toBe(1);
  expect((await leases.call('loose', 'k')).value).toBe(1);
  expect(leases.counts.runs).toBe(1);
  expect(await leases.row('k')).toMatchObject({ state: 'completed', mode: 'lease' });
});

test.each(['refuse', 'rerun'] as const)('%s requires one, and does not run without', async (field) => {
  expect((await leases.call(field, undefined)).code).toBe('IDEMPOTENCY_KEY_MISSING');
  expect(leases.counts.runs).toBe(0);
});
