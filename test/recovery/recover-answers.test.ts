/** What a field's `recover` callback may say of an abandoned attempt, and what the retry gets then. */

import { FinalError } from 'graphql-idempotency';
import type { RecoverAttempt } from 'graphql-idempotency';
import { GraphQLError } from 'graphql';
import { describe, expect, test } from 'vitest';
import { CRASH, executed, leaseCase, replayed, said } from './lease-case.ts';
import type { FieldName, Instance, InstanceOptions, LeaseCase } from './lease-case.ts';

interface Abandoned extends LeaseCase {
  readonly instance: Instance;
  readonly offers: () => number;
}

/** An instance whose first execution has failed in the middle, and whose callback answers this. */
async function abandoned(
  field: FieldName,
  recover: RecoverAttempt,
  more: InstanceOptions['options'] = {},
): Promise<Abandoned> {
  const environment = await leaseCase();
  let failed = false;
  let offers = 0;
  const instance = await environment.start({
    work(_, n) {
      if (failed) return n;
      failed = true;
      throw CRASH;
    },
    options: {
      recover: {
        [`Mutation.${field}`]: (record) => {
          offers += 1;
          return recover(record);
        },
      },
      ...more,
    },
  });
  expect(said(await instance.call(field, 'a'))).toBe('OUTCOME_UNKNOWN');
  return { ...environment, instance, offers: () => offers };
}

const fields: readonly FieldName[] = ['refuse', 'rerun'];

describe.each(fields)('on a field with the policy %s', (field) => {
  test('completed: the retry that asked gets the result as a replay, and so does every later one', async () => {
    const { instance, offers, rows } = await abandoned(field, async () => ({
      outcome: 'completed',
      result: 42,
    }));
    const reply = await instance.call(field, 'a');
    expect(said(reply)).toEqual(replayed(42));
    expect(reply.headers.get('idempotent-replayed')).toBe('true');
    expect(said(await instance.call(field, 'a'))).toEqual(replayed(42));
    expect(offers()).toBe(1);
    expect(instance.executed).toEqual([1]);
    expect(await rows()).toEqual([{ state: 'completed', attempt: 1, outcome: 'result' }]);
  });

  test('completed with null: null is the answer', async () => {
    const { instance } = await abandoned(field, () => ({ outcome: 'completed', result: null }));
    expect(said(await instance.call(field, 'a'))).toEqual(replayed(null));
  });

  test('completed with an error: every retry gets that error', async () => {
    const { instance, rows } = await abandoned(field, () => ({
      outcome: 'completed',
      error: new FinalError('The card was declined.', { extensions: { code: 'CARD_DECLINED' } }),
    }));
    for (const _ of [1, 2]) {
      const { body, headers } = await instance.call(field, 'a');
      expect(body.errors[0]).toMatchObject({
        message: 'The card was declined.',
        extensions: { code: 'CARD_DECLINED' },
      });
      expect(headers.get('idempotent-replayed')).toBe('true');
    }
    expect(instance.executed).toEqual([1]);
    expect(await rows()).toEqual([{ state: 'completed', attempt: 1, outcome: 'error' }]);
  });

  test('not executed: the retry that asked executes, as attempt 1', async () => {
    const { instance, offers, rows } = await abandoned(field, () => ({ outcome: 'not-executed' }));
    expect(said(await instance.call(field, 'a'))).toEqual(executed(1));
    expect(said(await instance.call(field, 'a'))).toEqual(replayed(1));
    expect(instance.executed).toEqual([1, 1]);
    expect(offers()).toBe(1);
    expect(await rows()).toEqual([{ state: 'completed', attempt: 1, outcome: 'result' }]);
  });

  test('a result that cannot be stored: it is done, and retries are told RESULT_OMITTED', async () => {
    const { instance, rows } = await abandoned(field, () => ({ outcome: 'completed', result: () => 1 }));
    for (const _ of [1, 2]) expect(said(await instance.call(field, 'a'))).toBe('RESULT_OMITTED');
    expect(instance.executed).toEqual([1]);
    expect(await rows()).toEqual([{ state: 'completed', attempt: 1, outcome: 'omitted' }]);
  });
});

const dontKnow: readonly (readonly [what: string, recover: RecoverAttempt, logs: boolean])[] = [
  ['unknown', () => ({ outcome: 'unknown' }), false],
  [
    'by throwing',
    () => {
      throw CRASH;
    },
    true,
  ],
  ['by rejecting', () => Promise.reject(CRASH), true],
  // oxlint-disable-next-line prefer-promise-reject-errors -- what others' code does
  ['by rejecting with nothing', () => Promise.reject(undefined), true],
  ['undefined', () => undefined as never, true],
  ['null', async () => null as never, true],
  ['a word of its own', () => ({ outcome: 'done', result: 1 }) as never, true],
  ['just a string', () => 'completed' as never, true],
  ['completed without a result', () => ({ outcome: 'completed' }) as never, true],
  ['completed with both', () => ({ outcome: 'completed', result: 1, error: CRASH }) as never, true],
];

describe.each(dontKnow)('a callback that answers %s', (_, recover, logs) => {
  test('leaves it unknown: REFUSE refuses', async () => {
    const { instance, offers, rows } = await abandoned('refuse', recover);
    for (const _retry of [1, 2]) expect(said(await instance.call('refuse', 'a'))).toBe('OUTCOME_UNKNOWN');
    expect(offers()).toBe(2);
    expect(instance.executed).toEqual([1]);
    expect(await rows()).toEqual([{ state: 'unknown', attempt: 1, outcome: null }]);
    const logged = instance.log.filter(({ message }) => message.includes('`recover` failed'));
    expect(logged).toHaveLength(logs ? 2 : 0);
    for (const { level, message, facts } of logged) {
      expect({ level, message }).toEqual({
        level: 'error',
        message: expect.stringContaining('Mutation.refuse'),
      });
      expect(facts).toMatchObject({ identity: expect.stringMatching(/^[0-9a-f]{64}$/) });
    }
  });

  test('leaves it unknown: RERUN executes the next attempt', async () => {
    const { instance, offers } = await abandoned('rerun', recover);
    expect(said(await instance.call('rerun', 'a'))).toEqual(executed(1));
    expect(offers()).toBe(1);
    expect(instance.executed).toEqual([1, 2]);
  });
});

test('after maxAttempts the callback is still asked, and what it knows counts', async () => {
  let answer: 'unknown' | 'completed' = 'unknown';
  const { instance } = await abandoned(
    'rerun',
    () => (answer === 'unknown' ? { outcome: 'unknown' } : { outcome: 'completed', result: 9 }),
    { maxAttempts: 1 },
  );
  expect(said(await instance.call('rerun', 'a'))).toBe('OUTCOME_UNKNOWN');
  answer = 'completed';
  expect(said(await instance.call('rerun', 'a'))).toEqual(replayed(9));
  expect(instance.executed).toEqual([1]);
});

test('not executed, said of several attempts with steps: all of it begins anew', async () => {
  const { start } = await leaseCase();
  let known = false;
  const steps: string[] = [];
  const instance = await start({
    async work({ step, attempt }) {
      await step('reserve', () => void steps.push(`in attempt ${attempt}`));
      if (!known) throw CRASH;
      return attempt;
    },
    options: {
      recover: {
        'Mutation.rerun': () => (known ? { outcome: 'not-executed' } : { outcome: 'unknown' }),
      },
    },
  });
  for (const _ of [1, 2]) expect(said(await instance.call('rerun', 'a'))).toBe('OUTCOME_UNKNOWN');
  known = true;
  expect(said(await instance.call('rerun', 'a'))).toEqual(executed(1));
  expect(instance.executed).toEqual([1, 2, 1]);
  expect(steps).toEqual(['in attempt 1', 'in attempt 1']);
});

test('authorizeReplay runs before the retry gets what was recovered, and its refusal keeps the record', async () => {
  let revoked = true;
  const { instance, offers, rows } = await abandoned('refuse', () => ({ outcome: 'completed', result: 42 }), {
    authorizeReplay: () => {
      if (revoked) throw new GraphQLError('Revoked.', { extensions: { code: 'FORBIDDEN' } });
    },
  });
  const { body } = await instance.call('refuse', 'a');
  expect(body.errors[0]).toMatchObject({ message: 'Revoked.', extensions: { code: 'FORBIDDEN' } });
  expect(JSON.stringify(body)).not.toContain('42');
  expect(await rows()).toEqual([{ state: 'completed', attempt: 1, outcome: 'result' }]);
  revoked = false;
  expect(said(await instance.call('refuse', 'a'))).toEqual(replayed(42));
  expect(offers()).toBe(1);
});

test('a retry with other arguments is told KEY_REUSED, and the callback is not asked', async () => {
  const { instance, offers } = await abandoned('refuse', () => ({ outcome: 'completed', result: 42 }));
  expect(said(await instance.call('refuse', 'a', 2))).toBe('KEY_REUSED');
  expect(offers()).toBe(0);
});

test('a field without a callback is not offered to another field’s', async () => {
  const { instance, offers } = await abandoned('refuse', () => ({ outcome: 'unknown' }));
  expect(said(await instance.call('rerun', 'b'))).toEqual(executed(1));
  expect(offers()).toBe(0);
});
