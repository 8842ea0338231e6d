/** `guard()` in mode LEASE: steps, policies, and `recover` by the call's name. */

import { FinalError, NotExecutedError } from 'graphql-idempotency';
import type {
  AbandonedRecord,
  CurrentAttempt,
  GuardAnswer,
  GuardCall,
  RecoverAttempt,
} from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred, eventually } from '../../support/signal.ts';
import { codeOf, startCalls } from './calls.ts';
import type { Calls } from './calls.ts';

let calls: Calls;
let call: GuardCall;
let keys = 0;

beforeAll(async () => {
  calls = await startCalls({ maxAttempts: 3 });
});
beforeEach(() => {
  call = { name: 'payout', scope: 'queue', key: `key-${(keys += 1)}`, payload: 5, mode: 'LEASE' };
});

const guard = <T>(
  more: Partial<GuardCall>,
  run: (attempt: CurrentAttempt) => T | Promise<T>,
  instance = calls,
): Promise<GuardAnswer<T>> => instance.idempotency.guard({ ...call, ...more }, run);

const crash = (): never => {
  throw new Error('the provider did not answer');
};

/** An instance that knows what became of abandoned calls of this name. */
const recovering = (recover: RecoverAttempt, more: object = {}): Promise<Calls> =>
  startCalls({ beside: calls, recover: { [call.name!]: recover }, ...more });

test('a retry replays; the attempt has steps and a signal, and no transaction', async () => {
  const answer = await guard({}, async (attempt) => {
    expect(attempt.signal.aborted).toBe(false);
    expect(() => attempt.tx).toThrow('payout has mode: LEASE, so its attempt has no transaction.');
    const key = await attempt.step('pay', ({ key: forProvider }) => forProvider);
    expect(key).toBe(attempt.deriveKey('pay'));
    return attempt.step.transaction('book', (tx) => calls.write(tx, 'booked'));
  });
  expect(answer).toEqual({ outcome: 'executed', value: 'booked' });
  expect(await guard({}, crash)).toEqual({ outcome: 'replayed', value: 'booked' });
  expect(await calls.effects()).toEqual(['booked']);
});

test('of two at once one executes; who waits gets its answer', async () => {
  const [begun, goOn] = [deferred(), deferred()];
  const first = guard({}, async () => {
    begun.resolve();
    await goOn.promise;
    return 1;
  });
  await begun.promise;
  const beside = await startCalls({ beside: calls });
  expect(await codeOf(guard({}, () => 2))).toBe('IDEMPOTENCY_IN_PROGRESS');
  expect(await codeOf(guard({}, () => 2, beside))).toBe('IDEMPOTENCY_IN_PROGRESS');
  const waiting = [calls, beside].map((instance) => guard({ inFlight: 'WAIT' }, () => 2, instance));
  goOn.resolve();
  expect(await first).toEqual({ outcome: 'executed', value: 1 });
  for (const answer of waiting) expect(await answer).toEqual({ outcome: 'replayed', value: 1 });
});

describe('an attempt whose outcome nobody knows', () => {
  test('abandoned: REFUSE, the default, executes nothing until it is resolved', async () => {
    expect(await codeOf(guard({}, crash))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(await codeOf(guard({}, () => 'second run'))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    const [abandoned] = (await calls.idempotency.abandoned()).filter(
      ({ coordinate }) => coordinate === 'payout',
    );
    expect(abandoned).toMatchObject({ coordinate: 'payout', attempt: 1, steps: [] });
    const recovery = { outcome: 'completed', result: 'paid' } as const;
    expect(await calls.idempotency.resolve(abandoned!.identity, recovery)).toBe('resolved');
    expect(await guard({}, () => 'second run')).toEqual({ outcome: 'replayed', value: 'paid' });
  });

  test('abandoned: RERUN executes again, without the steps that are done, until maxAttempts', async () => {
    const paid: string[] = [];
    const attempts: number[] = [];
    const run = async ({ step, attempt }: CurrentAttempt): Promise<string> => {
      attempts.push(attempt);
      const id = await step('pay', ({ key }) => {
        paid.push(key);
        return 'p1';
      });
      if (attempt < 3) crash();
      return id;
    };
    const rerun = () => codeOf(guard({ abandoned: 'RERUN' }, run));
    expect(await rerun()).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(await rerun()).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(await rerun()).toEqual({ outcome: 'executed', value: 'p1' });
    expect(await rerun()).toEqual({ outcome: 'replayed', value: 'p1' });
    expect(attempts).toEqual([1, 2, 3]);
    expect(paid).toHaveLength(1);
  });

  test('a FinalError is stored, a NotExecutedError sets the key free', async () => {
    const closed = guard({}, () => {
      throw new NotExecutedError('closed');
    });
    await expect(closed).rejects.toThrow('closed');
    const refused = (): never => {
      throw new FinalError('refused', { extensions: { code: 'REFUSED' } });
    };
    await expect(guard({}, refused)).rejects.toThrow('refused');
    const again: unknown = await guard({}, () => 'third run').catch((error: unknown) => error);
    expect(again).toBeInstanceOf(FinalError);
    expect(again).toMatchObject({ message: 'refused', extensions: { code: 'REFUSED' } });
  });
});

describe('`recover` by the name of the call', () => {
  test('is asked when a caller retries, and its answer replays', async () => {
    call = { ...call, name: `asked-${call.key}` };
    const told: AbandonedRecord[] = [];
    const instance = await recovering((record) => {
      told.push(record);
      return { outcome: 'completed', result: record.deriveKey('pay') };
    });
    let derived = '';
    const failing = guard({}, async ({ step }) => {
      await step('look', () => 7);
      await step('pay', ({ key }) => {
        derived = key;
        return crash();
      });
    });
    expect(await codeOf(failing)).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    // An instance without the callback goes by the policy.
    expect(await codeOf(guard({}, crash))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(await guard<unknown>({}, crash, instance)).toEqual({ outcome: 'replayed', value: derived });
    expect(told).toMatchObject([
      { coordinate: call.name, attempt: 1, steps: [{ name: 'look', outcome: 'result', value: 7 }] },
    ]);
  });

  test('not-executed sets the key free: the retry executes', async () => {
    call = { ...call, name: `free-${call.key}` };
    const instance = await recovering(() => ({ outcome: 'not-executed' }));
    await codeOf(guard({}, crash));
    expect(await guard({}, () => 'now', instance)).toEqual({ outcome: 'executed', value: 'now' });
  });

  test('is asked in the background, where nobody retries, and not about other names', async () => {
    const name = `background-${call.key}`;
    await codeOf(guard({ name, key: `${call.key}-a` }, crash));
    await codeOf(guard({ name, key: `${call.key}-b` }, crash));
    await codeOf(guard({ name: `other-${name}`, key: `${call.key}-c` }, crash));
    call = { ...call, name };
    const asked: string[] = [];
    const instance = await recovering(
      ({ coordinate }) => {
        asked.push(coordinate);
        return { outcome: 'completed', result: 'found' };
      },
      { recoverInterval: 20 },
    );
    await instance.idempotency.open();
    for (const suffix of ['a', 'b']) {
      // Refused as in progress, while the round that found it offers it to the callback.
      const answer = await eventually(() => guard<unknown>({ key: `${call.key}-${suffix}` }, crash));
      expect(answer).toEqual({ outcome: 'replayed', value: 'found' });
    }
    expect(asked).toEqual([name, name]);
    const other = { name: `other-${name}`, key: `${call.key}-c` };
    expect(await codeOf(guard(other, crash))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  });

  test('a round says what it found out', async () => {
    call = { ...call, name: `round-${call.key}` };
    await codeOf(guard({}, crash));
    const instance = await recovering(() => ({ outcome: 'unknown' }));
    expect(await instance.idempotency.recover()).toEqual({
      offered: 1,
      completed: 0,
      notExecuted: 0,
      unknown: 1,
    });
  });
});

test('an attempt that another took over cannot complete', async () => {
  const beside = await startCalls({ beside: calls });
  const [begun, goOn] = [deferred(), deferred()];
  const late = guard({ abandoned: 'RERUN' }, async ({ signal }) => {
    begun.resolve();
    await goOn.promise;
    return signal.aborted ? 'late, and knows it' : 'late';
  });
  await begun.promise;
  await calls.sql(
    `update graphql_idempotency.record set lease_until = clock_timestamp() where state = 'pending'`,
  );
  const taken = guard({ abandoned: 'RERUN' }, ({ attempt }) => attempt, beside);
  expect(await taken).toEqual({ outcome: 'executed', value: 2 });
  goOn.resolve();
  expect(await codeOf(late)).toBe('IDEMPOTENCY_LEASE_LOST');
  expect(await guard<unknown>({}, crash)).toEqual({ outcome: 'replayed', value: 2 });
});
