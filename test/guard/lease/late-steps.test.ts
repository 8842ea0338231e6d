/** Steps that end late: those that a resolver does not await, and those whose time is up. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { FinalError } from 'graphql-idempotency';
import type { Step } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred, eventually, within } from '../../support/signal.ts';
import { raise, startLeases } from './leases.ts';
import type { Leases } from './leases.ts';

let leases: Leases;
let keys = 0;
let key: string;
beforeAll(async () => {
  leases = await startLeases();
});
beforeEach(() => {
  key = `late-${(keys += 1)}`;
  leases.counts.runs = 0;
  leases.log.length = 0;
});

test.each(['returns', 'throws a FinalError'])(
  'an answer waits for the steps under way when a resolver %s',
  async (how) => {
    const [reached, goOn] = [deferred(), deferred()];
    let over = false;
    leases.during = ({ step }) => {
      void step('late', async () => {
        reached.resolve();
        await goOn.promise;
      }).then(() => (over = true));
      return how === 'returns' ? 'done' : raise(new FinalError('declined'));
    };
    const answer = leases.call('rerun', key);
    let answered = false;
    void answer.then(() => (answered = true));
    await reached.promise;
    // Whatever the guard still does without the step, it does before this has been to Postgres.
    expect((await leases.row(key))?.state).toBe('pending');
    expect([answered, over]).toEqual([false, false]);
    goOn.resolve();
    const { value, error } = await within(answer);
    expect([value, error?.message]).toEqual(how === 'returns' ? ['done', undefined] : [null, 'declined']);
    expect(over).toBe(true);
    expect((await leases.row(key))?.state).toBe('completed');
  },
);

test.each<readonly [string, () => unknown]>([
  ['an Error', () => new Error('late')],
  ['a FinalError', () => new FinalError('late')],
  ['nothing', () => undefined],
])('a step that fails with %s, and that nobody awaits, leaves the outcome unknown', async (_what, make) => {
  const reason = make();
  leases.during = ({ step }) => {
    void step('late', async () => {
      await nextTurn();
      throw reason;
    });
    return 'done';
  };
  expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect((await leases.row(key))?.state).toBe('unknown');
  expect(leases.log).toContainEqual({
    level: 'warn',
    message: 'Mutation.rerun: a step failed that its resolver had not awaited.',
    facts: { cause: reason },
  });
});

test('a step that failed while its resolver went on is the business of the resolver', async () => {
  leases.during = async ({ step }) => {
    const failing = step('a', () => raise(new Error('known')));
    await step('b', () => 1);
    await failing.catch(() => {});
    return 'done';
  };
  expect((await leases.call('rerun', key)).value).toBe('done');
});

test('a final answer stands, whatever a step under way comes to', async () => {
  const failing = deferred();
  leases.during = async ({ step }) => {
    const late = step('late', () => failing.promise);
    setImmediate(() => failing.reject(new Error('late')));
    await Promise.race([late, Promise.reject(new FinalError('declined'))]);
  };
  expect((await leases.call('rerun', key)).error?.message).toBe('declined');
  expect((await leases.call('rerun', key)).error?.message).toBe('declined');
  expect(leases.counts.runs).toBe(1);
});

test('a step that is called after its resolver has settled is refused, and does nothing', async () => {
  let kept: Step | undefined;
  const ran: string[] = [];
  leases.during = ({ step }) => {
    kept = step;
    return 'done';
  };
  await leases.call('rerun', key);
  for (const late of [
    kept!('late', () => ran.push('late')),
    kept!.transaction('later', () => ran.push('later')),
  ])
    await expect(late).rejects.toThrow(/was called after its resolver had settled\. Await every step\./);
  expect(ran).toEqual([]);
  expect((await leases.call('rerun', key)).value).toBe('done');
});

test('nor may a step under way begin another one then', async () => {
  const settled = deferred();
  const ran: string[] = [];
  leases.during = ({ step }) => {
    void step('outer', async () => {
      await settled.promise;
      await step('inner', () => ran.push('inner'));
    });
    setImmediate(() => settled.resolve());
    return 'done';
  };
  expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(ran).toEqual([]);
});

test('an attempt that is lost waits for none of them', async () => {
  const quick = await startLeases({ beside: leases, lease: 20_000, renewInterval: 100 });
  const never = deferred();
  quick.during = ({ step }) => {
    void step('late', () => never.promise);
    return 'done';
  };
  const answer = quick.call('rerun', key);
  await eventually(async () => (await quick.row(key))?.state === 'pending');
  await quick.takeOver(key);
  expect((await within(answer)).code).toBe('IDEMPOTENCY_LEASE_LOST');
  never.resolve();
  expect((await quick.row(key))?.state).toBe('pending');
});

describe('timeout', () => {
  test('aborts the signal of its step, and of no other', async () => {
    let aborted: readonly boolean[] = [];
    leases.during = ({ step, signal }) =>
      step(
        'a',
        async ({ signal: own }) => {
          await within(new Promise((resolve) => own.addEventListener('abort', resolve)));
          expect(own.reason).toMatchObject({ name: 'TimeoutError' });
          aborted = [own.aborted, signal.aborted];
          return 'late';
        },
        { timeout: 20 },
      );
    expect((await leases.call('rerun', key)).value).toBe('late');
    expect(aborted).toEqual([true, false]);
  });

  test('counts from the beginning of the step, however often its signal is asked for', async () => {
    leases.during = ({ step }) =>
      step(
        'a',
        async (call) => {
          const first = call.signal;
          await within(new Promise((resolve) => first.addEventListener('abort', resolve)));
          return call.signal.aborted;
        },
        { timeout: 20 },
      );
    expect((await leases.call('rerun', key)).value).toBe(true);
  });
});
