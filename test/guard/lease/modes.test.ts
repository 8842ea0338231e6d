/** Both modes over one table: what a field has of its attempt, and what a field finds that the other mode left. */

import { FinalError } from 'graphql-idempotency';
import { execute, parse } from 'graphql';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred } from '../../support/signal.ts';
import { raise, startLeases } from './leases.ts';
import type { Call, Leases } from './leases.ts';

/** Two deploys, in which the field `moved` has different modes. */
let leased: Leases;
let transactional: Leases;
let keys = 0;
let key: string;
beforeAll(async () => {
  leased = await startLeases({ movedMode: 'LEASE' });
  transactional = await startLeases({ beside: leased, movedMode: 'TRANSACTION' });
});
beforeEach(() => {
  key = `modes-${(keys += 1)}`;
  for (const one of [leased, transactional]) {
    one.counts.runs = 0;
    one.counts.replays = 0;
    one.during = () => 'executed';
  }
});

const insert = (call: Call, name: string) => call.tx.query('insert into effects (name) values ($1)', [name]);

function hold(leases: Leases, act: (call: Call) => unknown = () => 'held') {
  const [reached, goOn] = [deferred(), deferred()];
  leases.during = async (call) => {
    reached.resolve();
    await goOn.promise;
    return act(call);
  };
  return { reached: reached.promise, goOn: () => goOn.resolve() };
}

describe('what the other mode has', () => {
  const message = (get: () => unknown): string => {
    try {
      get();
      return 'nothing was thrown';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test.each(['refuse', 'loose'] as const)('LEASE has no tx (%s)', async (field) => {
    leased.during = ({ current }) => message(() => current.tx);
    const { value } = await leased.call(field, field === 'loose' ? undefined : key);
    expect(value).toBe(
      `Mutation.${field} has mode: LEASE, so its attempt has no transaction. Write through step.transaction(name, (tx) => …).`,
    );
  });

  test('TRANSACTION has neither step nor signal', async () => {
    leased.during = ({ current }) => [message(() => current.step), message(() => current.signal)];
    expect((await leased.call('plain', key)).value).toEqual([
      'Mutation.plain has mode: TRANSACTION, so it has no steps. Write through tx.',
      'Mutation.plain has mode: TRANSACTION, so it has no lease that could be lost.',
    ]);
  });

  test('both have key, attempt and deriveKey, and the same keys', async () => {
    const seen: unknown[] = [];
    for (const one of [leased, transactional]) {
      one.during = ({ key: own, attempt, deriveKey }) => seen.push([own, attempt, deriveKey('a')]);
      await one.call('moved', key);
      await one.sql('delete from graphql_idempotency.record');
    }
    expect(seen[0]).toEqual([key, 1, expect.stringMatching(/^[\w-]{43}$/)]);
    expect(seen[1]).toEqual(seen[0]);
  });
});

describe('a field that was LEASE and is TRANSACTION', () => {
  test('refuses while a lease is held, also beyond its end, and never executes', async () => {
    const { reached, goOn } = hold(leased);
    const first = leased.call('moved', key);
    await reached;
    expect((await transactional.call('moved', key)).code).toBe('IDEMPOTENCY_IN_PROGRESS');
    expect((await transactional.call('moved', key, { n: 2 })).code).toBe('IDEMPOTENCY_KEY_REUSED');
    await leased.lapse(key);
    expect((await transactional.call('moved', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    goOn();
    expect((await first).value).toBe('held');
    expect((await transactional.call('moved', key)).value).toBe('held');
    expect(transactional.counts).toEqual({ runs: 0, replays: 1 });
  });

  test('does not execute what was abandoned, until somebody settles it', async () => {
    leased.during = () => raise(new Error('crash'));
    await leased.call('moved', key);
    expect((await transactional.call('moved', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect((await transactional.call('moved', key, { n: 2 })).code).toBe('IDEMPOTENCY_KEY_REUSED');
    const identity = leased.identity(key).toString('hex');
    expect(await transactional.idempotency.resolve(identity, { outcome: 'not-executed' })).toBe('resolved');
    expect((await transactional.call('moved', key)).value).toBe('executed');
    expect(await leased.row(key)).toMatchObject({ mode: 'transaction', state: 'completed' });
  });

  test.each<readonly [string, () => unknown, object]>([
    ['a result', () => 'of a lease', { value: 'of a lease' }],
    ['an error', () => raise(new FinalError('declined')), { value: null, error: { message: 'declined' } }],
    ['what could not be stored', () => () => 1, { code: 'IDEMPOTENCY_RESULT_OMITTED' }],
  ])('replays %s', async (_what, act, expected) => {
    leased.during = act;
    await leased.call('moved', key);
    expect(await transactional.call('moved', key)).toMatchObject(expected);
    expect(transactional.counts.runs).toBe(0);
  });
});

describe('a field that was TRANSACTION and is LEASE', () => {
  test.each<readonly [string, () => unknown, object]>([
    ['a result', () => 'of a transaction', { value: 'of a transaction' }],
    ['an error', () => raise(new FinalError('declined')), { value: null, error: { message: 'declined' } }],
  ])('replays %s', async (_what, act, expected) => {
    transactional.during = act;
    await transactional.call('moved', key);
    expect(await leased.call('moved', key)).toMatchObject(expected);
    expect((await leased.call('moved', key, { n: 2 })).code).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(leased.counts.runs).toBe(0);
  });

  test('is in progress while a transaction runs, and leaves no row beside it', async () => {
    const { reached, goOn } = hold(transactional, (call) => insert(call, key).then(() => 'held'));
    const first = transactional.call('moved', key);
    await reached;
    expect((await leased.call('moved', key)).code).toBe('IDEMPOTENCY_IN_PROGRESS');
    expect(await leased.row(key)).toBeUndefined();
    goOn();
    expect((await first).value).toBe('held');
    expect((await leased.call('moved', key)).value).toBe('held');
    expect(leased.counts.runs).toBe(0);
    expect((await leased.effects()).filter((name) => name === key)).toHaveLength(1);
  });

  test('executes once that transaction was rolled back', async () => {
    transactional.during = () => raise(new Error('no'));
    await transactional.call('moved', key);
    leased.during = () => 'of a lease';
    expect((await leased.call('moved', key)).value).toBe('of a lease');
  });
});

describe('a record that has expired is taken over', () => {
  const expire = () =>
    leased.sql(
      `update graphql_idempotency.record set completed_at = completed_at - interval '2 days',
       expires_at = expires_at - interval '2 days', takeover_after = takeover_after - interval '2 days'
       where identity = $1`,
      [leased.identity(key)],
    );
  test.each(['lease', 'transaction'])('by the other mode, from %s', async (mode) => {
    const [old, young] = mode === 'lease' ? [leased, transactional] : [transactional, leased];
    old.during = () => 'old';
    await old.call('moved', key);
    expect((await leased.row(key))?.mode).toBe(mode);
    await expire();
    young.during = () => 'young';
    expect((await young.call('moved', key, { n: 2 })).value).toBe('young');
    expect((await old.call('moved', key, { n: 2 })).value).toBe('young');
    expect(await leased.row(key)).toMatchObject({
      mode: mode === 'lease' ? 'transaction' : 'lease',
      state: 'completed',
      attempt: 1,
    });
  });
});

describe('other arguments on a key of lease mode are KEY_REUSED', () => {
  test.each(['refuse', 'rerun'] as const)('pending and unknown: %s', async (field) => {
    const { reached, goOn } = hold(leased, () => raise(new Error('crash')));
    const first = leased.call(field, key);
    await reached;
    const expectReused = async (): Promise<void> => {
      const { code, error } = await transactional.call(field, key, { n: 2 });
      expect(code).toBe('IDEMPOTENCY_KEY_REUSED');
      expect(error?.message).not.toContain(key);
    };
    await expectReused();
    await leased.lapse(key);
    await expectReused();
    goOn();
    await first;
    expect((await leased.row(key))?.state).toBe('unknown');
    await expectReused();
    const other = field === 'refuse' ? 'rerun' : 'refuse';
    expect((await transactional.call(other, key)).code).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(transactional.counts.runs).toBe(0);
    expect((await leased.row(key))?.attempt).toBe(1);
  });
});

describe('one operation', () => {
  const document = parse(`mutation ($a: String!, $b: String!, $c: String!, $d: String!) {
    a: rerun(n: 1) @idempotent(key: $a)
    b: plain(n: 2) @idempotent(key: $b)
    c: rerun(n: 3) @idempotent(key: $c)
    d: plain(n: 4) @idempotent(key: $d)
    e: loose(n: 5)
  }`);
  const send = async () => {
    const variableValues = Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, `${key}-${name}`]));
    const { schema } = leased;
    const { data, errors = [] } = await execute({
      schema,
      document,
      variableValues,
      contextValue: { user: 'alice' },
    });
    return {
      data: { ...data },
      errors: errors.map(({ path, extensions }) => [path?.[0], extensions['code']]),
    };
  };

  test('may hold fields of both modes, each with a record of its own', async () => {
    const order: unknown[] = [];
    leased.during = async (call) => {
      const { n } = call.args;
      order.push(`begin ${n}`);
      if (n === 2 || n === 4) await insert(call, key);
      else await call.step('a', () => 1);
      if (n === 3) throw new Error('crash');
      order.push(`end ${n}`);
      return n;
    };
    expect(await send()).toEqual({
      data: { a: 1, b: 2, c: null, d: 4, e: 5 },
      errors: [['c', 'IDEMPOTENCY_OUTCOME_UNKNOWN']],
    });
    expect(order).toEqual([
      'begin 1',
      'end 1',
      'begin 2',
      'end 2',
      'begin 3',
      'begin 4',
      'end 4',
      'begin 5',
      'end 5',
    ]);
    leased.during = ({ args, attempt }: Call) => [args.n, attempt];
    leased.during = async ({ args, attempt, current }: Call) => {
      if (args.n === 3) await current.step('a', () => raise(new Error('ran again')));
      return [args.n, attempt];
    };
    expect(await send()).toEqual({ data: { a: 1, b: 2, c: [3, 2], d: 4, e: [5, 1] }, errors: [] });
    expect(leased.counts).toEqual({ runs: 5 + 2, replays: 3 });
    expect((await leased.effects()).filter((name) => name === key)).toHaveLength(2);
  });
});
