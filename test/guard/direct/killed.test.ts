/** Kill -9 of a process that has no server, only `guard()`. */

import type { GuardCall } from 'graphql-idempotency';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { startChild } from '../../support/child.ts';
import type { Child } from '../../support/child.ts';
import { eventually } from '../../support/signal.ts';
import { codeOf, startCalls } from './calls.ts';
import type { Calls } from './calls.ts';
import type { Consumed } from './consuming-process.ts';

let calls: Calls;
beforeAll(async () => {
  calls = await startCalls({ lease: 2000, claimTimeout: 1900 });
});
beforeEach(async () => {
  await calls.sql('truncate effects');
});

function consume(call: GuardCall, killAt?: 'mid-run' | 'answered'): Child {
  return startChild({
    file: 'test/guard/direct/consuming-process.ts',
    env: { CALL: JSON.stringify(call), TEST_URL: calls.url, ...(killAt && { KILL_AT: killAt }) },
  });
}

/** Delivers the message again until it is no longer in progress. */
const redeliver = (call: GuardCall): Promise<unknown> =>
  eventually(
    async () => {
      const given = await codeOf(calls.idempotency.guard(call, () => 'the retry ran'));
      return given === 'IDEMPOTENCY_IN_PROGRESS' ? undefined : given;
    },
    { timeoutMs: 20_000 },
  );

test('killed in the middle of a TRANSACTION: nothing happened, and the retry executes', async () => {
  const call = { name: 'consume', scope: 'queue', key: 'mid-run', payload: { n: 1 } };
  expect((await consume(call, 'mid-run').exited).signal).toBe('SIGKILL');
  expect(await calls.effects()).toEqual([]);
  expect(await redeliver(call)).toEqual({ outcome: 'executed', value: 'the retry ran' });
});

test('killed before it could say what it did: all of it happened, and the retry gets its answer', async () => {
  const call = { name: 'consume', scope: 'queue', key: 'answered', payload: { n: 1 } };
  expect((await consume(call, 'answered').exited).signal).toBe('SIGKILL');
  expect(await redeliver(call)).toEqual({ outcome: 'replayed', value: 'attempt 1' });
  expect(await calls.effects()).toEqual(['first', 'second']);
});

test('killed in the middle of a LEASE: a rerun in a new process goes on behind the step that is done', async () => {
  const call = {
    name: 'consume',
    scope: 'queue',
    key: 'lease',
    mode: 'LEASE',
    abandoned: 'RERUN',
    inFlight: 'WAIT',
  } as const;
  expect((await consume(call, 'mid-run').exited).signal).toBe('SIGKILL');
  expect(await calls.effects()).toEqual(['first']);
  expect(await codeOf(calls.idempotency.guard({ ...call, inFlight: 'REJECT' }, () => 'never'))).toBe(
    'IDEMPOTENCY_IN_PROGRESS',
  );
  const again = consume(call);
  const { answer } = await again.message<Consumed>((said) => 'answer' in said, { timeoutMs: 20_000 });
  expect(answer).toEqual({ outcome: 'executed', value: 'attempt 2' });
  expect(await calls.effects()).toEqual(['first', 'second']);
  expect(await redeliver(call)).toEqual({ outcome: 'replayed', value: 'attempt 2' });
  expect((await again.exited).code).toBe(0);
});

test('killed in the middle of a LEASE that is not run again: `recover` finds out, by the name of the call', async () => {
  const call = { name: 'settle', scope: 'queue', key: 'recovered', mode: 'LEASE' } as const;
  expect((await consume(call, 'mid-run').exited).signal).toBe('SIGKILL');
  const knowing = await startCalls({
    beside: calls,
    recover: {
      settle: ({ steps }) => ({ outcome: 'completed', result: steps.map(({ name }) => name) }),
    },
    recoverInterval: 50,
  });
  await knowing.idempotency.open();
  const record = `select state from graphql_idempotency.record where coordinate = 'settle'`;
  await eventually(async () => (await calls.sql<{ state: string }>(record))[0]?.state === 'completed', {
    timeoutMs: 20_000,
  });
  expect(await redeliver(call)).toEqual({ outcome: 'replayed', value: ['first'] });
  expect(await calls.effects()).toEqual(['first']);
});
