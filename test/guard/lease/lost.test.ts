/** An attempt that lost its lease: it is told, its caller is told, and nothing that it does counts any more. */

import { FinalError, NotExecutedError } from 'graphql-idempotency';
import type { Step } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred, within } from '../../support/signal.ts';
import { raise, startLeases } from './leases.ts';
import type { Call, Leases } from './leases.ts';

/** Renews at once; and one that does not renew while a test lasts. */
let quick: Leases;
let slow: Leases;
let keys = 0;
let key: string;
beforeAll(async () => {
  slow = await startLeases({ storeError: () => false });
  quick = await startLeases({ beside: slow, lease: 20_000, renewInterval: 100 });
});
beforeEach(async () => {
  key = `lost-${(keys += 1)}`;
  await slow.sql('truncate effects');
});

/** Makes the resolver wait; `reached` resolves when it does. */
function hold(leases: Leases, act: (call: Call) => unknown) {
  const [reached, goOn] = [deferred<Call>(), deferred()];
  leases.during = async (call) => {
    reached.resolve(call);
    await goOn.promise;
    return act(call);
  };
  return { reached: reached.promise, goOn: () => goOn.resolve() };
}

describe('H3: when a renewal finds that another one holds the lease', () => {
  test('the signal aborts, and the caller gets LEASE_LOST, although the resolver never settles', async () => {
    const never = deferred();
    const reached = deferred<AbortSignal>();
    quick.during = ({ signal }) => {
      reached.resolve(signal);
      return never.promise;
    };
    const answer = quick.call('rerun', key);
    const signal = await reached.promise;
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
    expect(signal.aborted).toBe(false);
    await quick.takeOver(key);
    const winner = await quick.row(key);
    await within(aborted);
    const { code, error } = await within(answer);
    expect(code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect(error?.extensions).toMatchObject({ retryable: true, retryAfterMs: 1000, http: { status: 503 } });
    expect((signal.reason as Error).message).toBe('the lease is lost: another attempt holds it');
    expect(await quick.row(key)).toEqual(winner);
    // The key is not in flight here any more: it is the winner's.
    expect((await quick.call('rerun', key)).code).toBe('IDEMPOTENCY_IN_PROGRESS');
  });

  test('a signal that is asked for later has aborted, and steps are refused', async () => {
    const { reached, goOn } = hold(quick, () => 'too late');
    const answer = quick.call('rerun', key);
    const call = await reached;
    await quick.takeOver(key);
    expect((await within(answer)).code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect(call.signal.aborted).toBe(true);
    const ran: string[] = [];
    const late = [call.step('a', () => ran.push('a')), call.step.transaction('b', () => ran.push('b'))];
    for (const one of late) await expect(one).rejects.toThrow();
    expect(ran).toEqual([]);
    goOn();
    expect(await quick.steps(key)).toEqual([]);
  });

  test('the signal of a step that is under way aborts, whether or not it has a timeout', async () => {
    const signals: AbortSignal[] = [];
    const started = deferred();
    quick.during = ({ step }) =>
      Promise.all(
        [undefined, 20_000].map((timeout, index) =>
          step(
            `s${index}`,
            ({ signal }) => {
              if (signals.push(signal) === 2) started.resolve();
              return new Promise((_, reject) => {
                signal.addEventListener('abort', () => reject(signal.reason as Error));
              });
            },
            timeout === undefined ? {} : { timeout },
          ),
        ),
      );
    const answer = quick.call('rerun', key);
    await started.promise;
    await quick.takeOver(key);
    expect((await within(answer)).code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect(signals.map(({ reason }) => (reason as Error).message)).toEqual(
      Array.from({ length: 2 }, () => 'the lease is lost: another attempt holds it'),
    );
  });
});

describe('H4, H5: a holder that learns of it only when it writes changes nothing:', () => {
  test.each<readonly [string, (call: Call) => unknown]>([
    ['it returned', () => 'mine'],
    ['it returned what cannot be stored', () => () => 1],
    ['it threw a FinalError', () => raise(new FinalError('mine'))],
    ['it threw NotExecutedError', () => raise(new NotExecutedError('closed'))],
    ['it threw', () => raise(new Error('plain'))],
    ['it recorded a step', ({ step }) => step('a', () => 1)],
    ['it recorded the final error of a step', ({ step }) => step('a', () => raise(new FinalError('no')))],
    ['it swallowed that a step was not recorded', ({ step }) => step('a', () => 1).catch(() => 'mine')],
    [
      'it recorded a step with a transaction',
      ({ step }) => step.transaction('a', (tx) => tx.query("insert into effects (name) values ('a')")),
    ],
    [
      'it ended the transaction of a step',
      ({ step }) =>
        step.transaction('a', async (tx) => {
          await tx.query('set standard_conforming_strings = off');
          await tx.query("select '\\''; commit; --'");
        }),
    ],
  ])('%s', async (_what, act) => {
    const { reached, goOn } = hold(slow, act);
    const answer = slow.call('rerun', key);
    await reached;
    await slow.takeOver(key);
    const winner = await slow.row(key);
    goOn();
    expect((await within(answer)).code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect(await slow.row(key)).toEqual(winner);
    expect([await slow.steps(key), await slow.effects()]).toEqual([[], []]);
  });

  test('and no new step begins once one of its steps has found out', async () => {
    const ran: string[] = [];
    let signal: AbortSignal | undefined;
    const over = deferred();
    const { reached, goOn } = hold(slow, async (call) => {
      ({ signal } = call);
      await call.step('a', () => ran.push('a')).catch(() => {});
      await call.step('b', () => ran.push('b')).catch(() => {});
      await call.step.transaction('c', () => ran.push('c')).catch(() => {});
      over.resolve();
      return 'mine';
    });
    const answer = slow.call('rerun', key);
    await reached;
    await slow.takeOver(key);
    goOn();
    expect((await within(answer)).code).toBe('IDEMPOTENCY_LEASE_LOST');
    await within(over.promise);
    expect(ran).toEqual(['a']);
    expect(signal?.aborted).toBe(true);
  });
});

describe('H7: of an owner and those who take over, one has the outcome', () => {
  test('the winner runs as the next attempt while the owner still does, and its outcome stands', async () => {
    const owner = hold(slow, () => 'of the owner');
    const first = slow.call('rerun', key);
    await owner.reached;
    await slow.lapse(key);
    const winner = hold(quick, ({ attempt }) => `of attempt ${attempt}`);
    const second = quick.call('rerun', key);
    await winner.reached;
    owner.goOn();
    expect((await first).code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect((await quick.row(key))?.state).toBe('pending');
    winner.goOn();
    expect((await second).value).toBe('of attempt 2');
    expect((await slow.call('rerun', key)).value).toBe('of attempt 2');
  });

  test('an owner that comes after the winner has completed overwrites nothing', async () => {
    const owner = hold(slow, () => 'of the owner');
    const first = slow.call('rerun', key);
    await owner.reached;
    await slow.lapse(key);
    quick.during = () => 'of the winner';
    expect((await quick.call('rerun', key)).value).toBe('of the winner');
    const completed = await quick.row(key);
    owner.goOn();
    expect((await first).code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect(await quick.row(key)).toEqual(completed);
  });

  test('many who retry at once when a lease has lapsed: one takes it over', async () => {
    const owner = hold(slow, () => 'of the owner');
    const first = slow.call('rerun', key);
    await owner.reached;
    await slow.lapse(key);
    const others = await Promise.all([1, 2, 3].map(() => startLeases({ beside: slow })));
    const goOn = deferred();
    for (const other of others) {
      other.during = async ({ attempt }) => {
        await goOn.promise;
        return attempt;
      };
    }
    const answers = others.flatMap((other) => [other.call('rerun', key), other.call('rerun', key)]);
    const refused = answers.map((answer) => answer.then(({ code }) => code));
    // All but one have their answer while that one still runs.
    let told = 0;
    const others5 = deferred();
    for (const one of refused) void one.then(() => (told += 1) === 5 && others5.resolve());
    await within(others5.promise);
    goOn.resolve();
    const codes = await Promise.all(refused);
    expect(codes.filter((code) => code === undefined)).toHaveLength(1);
    expect(codes.filter((code) => code === 'IDEMPOTENCY_IN_PROGRESS')).toHaveLength(5);
    expect(others.reduce((sum, { counts }) => sum + counts.runs, 0)).toBe(1);
    owner.goOn();
    expect((await first).code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect((await slow.call('rerun', key)).value).toBe(2);
  });

  test('a REFUSE field whose lease has lapsed is executed by nobody, and its owner may still complete', async () => {
    const owner = hold(slow, () => 'of the owner');
    const first = slow.call('refuse', key);
    await owner.reached;
    await slow.lapse(key);
    quick.counts.runs = 0;
    expect((await quick.call('refuse', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    owner.goOn();
    expect((await first).value).toBe('of the owner');
    expect((await quick.call('refuse', key)).value).toBe('of the owner');
    expect(quick.counts.runs).toBe(0);
  });

  test.each(['not-executed', 'unknown'] as const)(
    'an owner whose attempt was settled as %s cannot complete',
    async (outcome) => {
      const owner = hold(slow, () => 'of the owner');
      const first = slow.call('refuse', key);
      await owner.reached;
      await slow.lapse(key);
      const identity = slow.identity(key).toString('hex');
      expect(await quick.idempotency.resolve(identity, { outcome })).toBe('resolved');
      owner.goOn();
      expect((await first).code).toBe('IDEMPOTENCY_LEASE_LOST');
      expect((await slow.row(key))?.state).toBe(outcome === 'unknown' ? 'unknown' : undefined);
    },
  );
});

test("a step that one attempt records is no other's, though both run at once", async () => {
  let late: Step | undefined;
  const owner = hold(slow, ({ step }) => ((late = step), step('a', () => 'of the owner')));
  const first = slow.call('rerun', key);
  await owner.reached;
  await slow.lapse(key);
  quick.during = async ({ step }) => [await step('a', () => 'of the winner'), await step('b', () => 1)];
  expect((await quick.call('rerun', key)).value).toEqual(['of the winner', 1]);
  owner.goOn();
  expect((await first).code).toBe('IDEMPOTENCY_LEASE_LOST');
  await expect(late!('c', () => 1)).rejects.toThrow();
});

describe('H5: an owner whose key was freed, and claimed anew as a first attempt, ends nothing of that:', () => {
  test.each<readonly [string, (call: Call) => unknown]>([
    ['it returned', () => 'of the owner'],
    ['it threw NotExecutedError', () => raise(new NotExecutedError('closed'))],
    ['it threw', () => raise(new Error('plain'))],
    ['it recorded a step', ({ step }) => step('a', () => 1)],
  ])('%s', async (_what, act) => {
    const owner = hold(slow, act);
    const first = slow.call('refuse', key);
    await owner.reached;
    await slow.lapse(key);
    const identity = slow.identity(key).toString('hex');
    await quick.idempotency.resolve(identity, { outcome: 'not-executed' });
    const other = await startLeases({ beside: slow });
    const second = hold(other, () => 'of the second');
    const answer = other.call('refuse', key);
    await second.reached;
    const held = await slow.row(key);
    expect(held).toMatchObject({ state: 'pending', attempt: 1 });
    owner.goOn();
    expect((await first).code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect([await slow.row(key), await slow.steps(key)]).toEqual([held, []]);
    second.goOn();
    expect((await answer).value).toBe('of the second');
  });
});
