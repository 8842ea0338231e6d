/** The end of a process that guards calls: what is under way is waited for, and what comes later is refused. */

import type { GuardAnswer } from 'graphql-idempotency';
import { beforeAll, expect, test } from 'vitest';
import { deferred, eventually, within } from '../../support/signal.ts';
import { codeOf, startCalls } from './calls.ts';
import type { Calls } from './calls.ts';

let calls: Calls;
let keys = 0;
beforeAll(async () => {
  calls = await startCalls();
});

interface UnderWay {
  readonly instance: Calls;
  readonly call: { name: string; scope: string; key: string; mode: 'TRANSACTION' | 'LEASE' };
  readonly answer: Promise<GuardAnswer<string>>;
  readonly goOn: () => void;
}

async function underWay(mode: 'TRANSACTION' | 'LEASE', drainTimeout: number): Promise<UnderWay> {
  const instance = await startCalls({ beside: calls, drainTimeout });
  const [begun, held] = [deferred(), deferred()];
  const call = { name: 'closing', scope: 'queue', key: `key-${(keys += 1)}`, mode };
  const answer = instance.idempotency.guard(call, async () => {
    begun.resolve();
    await held.promise;
    return 'done';
  });
  await begun.promise;
  return { instance, call, answer, goOn: () => held.resolve() };
}

test.each(['TRANSACTION', 'LEASE'] as const)('close() waits for a call under way: %s', async (mode) => {
  const { instance, call, answer, goOn } = await underWay(mode, 20_000);
  let closed = false;
  const closing = instance.idempotency.close().then(() => (closed = true));
  // Another key's whole call takes longer than a close that does not wait.
  await calls.idempotency.guard({ ...call, key: `${call.key}-other` }, () => 1);
  expect(closed).toBe(false);
  goOn();
  expect(await answer).toEqual({ outcome: 'executed', value: 'done' });
  await within(closing);
  expect(await calls.idempotency.guard(call, () => 'again')).toEqual({ outcome: 'replayed', value: 'done' });
});

test('who waits for another call is told at once, instead of being waited for', async () => {
  const { instance, call, answer, goOn } = await underWay('TRANSACTION', 20_000);
  const waiting = codeOf(instance.idempotency.guard({ ...call, inFlight: 'WAIT' }, () => 'never'));
  const closing = instance.idempotency.close();
  expect(await within(waiting, { timeoutMs: 5000 })).toBe('IDEMPOTENCY_IN_PROGRESS');
  goOn();
  await answer;
  await closing;
});

test('TRANSACTION: what lasts longer than drainTimeout is rolled back, and a retry executes', async () => {
  const { instance, call, answer, goOn } = await underWay('TRANSACTION', 50);
  const told = codeOf(answer);
  await within(instance.idempotency.close());
  expect(await within(told)).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  goOn();
  const again = await eventually(async () => {
    const given = await codeOf(calls.idempotency.guard(call, () => 'again'));
    return given === 'IDEMPOTENCY_IN_PROGRESS' ? undefined : given;
  });
  expect(again).toEqual({ outcome: 'executed', value: 'again' });
});

test('LEASE: what lasts longer than drainTimeout has an unknown outcome, at once', async () => {
  const { instance, call, answer, goOn } = await underWay('LEASE', 50);
  const told = codeOf(answer);
  await within(instance.idempotency.close());
  expect(await within(told)).toBe('IDEMPOTENCY_LEASE_LOST');
  goOn();
  expect(await codeOf(calls.idempotency.guard(call, () => 'never'))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
});

test('after close() a call is STORE_UNAVAILABLE and runs nothing, until the instance is opened again', async () => {
  const instance = await startCalls({ beside: calls });
  const call = { scope: 'queue', key: 'reopened' };
  await instance.idempotency.guard(call, () => 1);
  await instance.idempotency.close();
  let runs = 0;
  const late = { ...call, key: 'late' };
  expect(await codeOf(instance.idempotency.guard(late, () => (runs += 1)))).toBe(
    'IDEMPOTENCY_STORE_UNAVAILABLE',
  );
  expect(runs).toBe(0);
  await instance.idempotency.open();
  expect(await instance.idempotency.guard(call, () => 2)).toEqual({ outcome: 'replayed', value: 1 });
  expect(await instance.idempotency.guard(late, () => 3)).toEqual({ outcome: 'executed', value: 3 });
});
