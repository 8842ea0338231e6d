/** H6, H8, and rows that cannot be read: no way around the claim, no second run for want of understanding. */

import { parse } from 'graphql';
import type { GraphQLResolveInfo } from 'graphql';
import pg from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { raise, startLeases } from './leases.ts';
import type { Leases } from './leases.ts';

let leases: Leases;
let keys = 0;
let key: string;
beforeAll(async () => {
  leases = await startLeases({
    claimTimeout: 1000,
    lockTimeout: 100,
    storeError: (error) => (error as Error).message !== 'crash',
  });
});
beforeEach(() => {
  key = `holes-${(keys += 1)}`;
  leases.counts.runs = 0;
  leases.during = () => 'executed';
  leases.log.length = 0;
});

async function crash(act: Leases['during'] = () => undefined): Promise<void> {
  leases.during = async (call) => {
    await act(call);
    throw new Error('crash');
  };
  await leases.call('rerun', key);
  leases.counts.runs = 0;
  leases.during = () => 'executed';
}

async function expectUnavailable(): Promise<void> {
  const { code, error } = await leases.call('rerun', key);
  expect(code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  expect(error?.message).toMatch(/^Mutation\.rerun: .*Nothing was executed/);
  expect(leases.counts.runs).toBe(0);
}

describe('H6: nothing reaches the resolver without a lease', () => {
  test('not where the claim fails', async () => {
    const claim = 'function graphql_idempotency.claim_lease';
    await leases.sql(`alter ${claim} rename to elsewhere`);
    try {
      await expectUnavailable();
    } finally {
      await leases.sql('alter function graphql_idempotency.elsewhere rename to claim_lease');
    }
    expect((await leases.call('rerun', key)).value).toBe('executed');
  });

  test('not where the claim, or the takeover, waits too long for the row', async () => {
    await crash();
    const client = new pg.Client({ connectionString: leases.url });
    await client.connect();
    try {
      await client.query('begin');
      await client.query('select from graphql_idempotency.record where identity = $1 for update', [
        leases.identity(key),
      ]);
      await expectUnavailable();
      await client.query('rollback');
    } finally {
      await client.end();
    }
    expect((await leases.call('rerun', key)).value).toBe('executed');
  });

  test('also where sessions are read only unless they say otherwise, it is written first', async () => {
    const url = new URL(leases.url);
    url.searchParams.set('options', '-c default_transaction_read_only=on');
    const other = await startLeases({ beside: leases, postgres: url.href });
    other.during = async () => (await leases.row(key))?.state;
    expect((await other.call('rerun', key)).value).toBe('pending');
  });

  test('the lease is committed before the resolver begins', async () => {
    leases.during = async () => {
      const { state, attempt, mode } = (await leases.row(key))!;
      return [state, attempt, mode];
    };
    expect((await leases.call('rerun', key)).value).toEqual(['pending', 1, 'lease']);
  });

  test('not by way of a resolver that is called with an operation that does not hold it', async () => {
    const { schema } = leases;
    const info = {
      schema,
      operation: parse('mutation { other: rerun @idempotent(key: "k") }').definitions[0],
      fragments: {},
      variableValues: {},
      fieldName: 'rerun',
      parentType: schema.getMutationType(),
      path: { key: 'rerun', prev: undefined, typename: 'Mutation' },
    } as unknown as GraphQLResolveInfo;
    const resolving = schema.getMutationType()!.getFields()['rerun']!.resolve!(
      {},
      {},
      { user: 'alice' },
      info,
    );
    await expect(resolving).rejects.toMatchObject({ extensions: { code: 'IDEMPOTENCY_STORE_UNAVAILABLE' } });
    expect(leases.counts.runs).toBe(0);
  });
});

describe('what cannot be read is not executed again:', () => {
  const alter = (change: string) =>
    leases.sql(`update graphql_idempotency.record set ${change} where identity = $1`, [leases.identity(key)]);

  test.each(['pending', 'unknown', 'completed'])('a %s record of a newer build', async (state) => {
    if (state === 'completed') await leases.call('rerun', key);
    else await crash();
    leases.counts.runs = 0;
    if (state === 'pending')
      await alter(
        "state = 'pending', lease_until = clock_timestamp() - interval '1 day', abandoned_at = null",
      );
    await alter('fingerprint_version = 99');
    await expectUnavailable();
  });

  test('a result that is damaged', async () => {
    await leases.call('rerun', key);
    leases.counts.runs = 0;
    await alter(`body = '\\x00ff'`);
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_RECORD_UNREADABLE');
    expect(leases.counts.runs).toBe(0);
  });

  test.each(['lease_until', 'fence'])('no row is without %s while it is pending', async (column) => {
    await crash();
    await alter("state = 'pending', lease_until = clock_timestamp(), abandoned_at = null");
    await expect(alter(`${column} = null`)).rejects.toMatchObject({ code: expect.stringMatching(/^23/) });
  });

  test.each<readonly [string, string]>([
    ['is damaged', `body = '\\x00ff'`],
    ['a newer build has recorded', 'codec_version = 99'],
  ])('a step that %s', async (_what, change) => {
    await crash(({ step }) => step('a', () => 1));
    await leases.sql(`update graphql_idempotency.step set ${change} where identity = $1`, [
      leases.identity(key),
    ]);
    let ran = false;
    leases.during = ({ step }) => step('a', () => (ran = true));
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(ran).toBe(false);
    expect((await leases.row(key))?.state).toBe('unknown');
  });
});

describe('H8: what a resolver does to its arguments', () => {
  const payload = () => ({ x: 1, list: [{ y: 2 }] });
  const mutate: Leases['during'] = ({ args }) => {
    const given = args.payload as Record<string, unknown>;
    for (const name of Object.keys(given)) delete given[name];
    args.n = 99;
    given['new'] = true;
  };

  test('changes neither its record nor its replay', async () => {
    leases.during = (call) => (mutate(call), 'kept');
    expect((await leases.call('rerun', key, { payload: payload() })).value).toBe('kept');
    leases.during = () => 'another';
    expect((await leases.call('rerun', key, { payload: payload() })).value).toBe('kept');
    expect((await leases.call('rerun', key, { payload: { new: true }, n: 99 })).code).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    );
  });

  test('changes neither the next attempt nor its keys', async () => {
    let derived: string | undefined;
    leases.during = async (call) => {
      mutate(call);
      await call.step('a', (step) => (derived = step.key));
      throw new Error('crash');
    };
    await leases.call('rerun', key, { payload: payload() });
    expect((await leases.call('rerun', key, { payload: { new: true }, n: 99 })).code).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    );
    leases.during = async ({ args, step, deriveKey }) => [
      args.payload,
      await step('a', () => raise(new Error('ran again'))),
      deriveKey('a'),
    ];
    expect((await leases.call('rerun', key, { payload: payload() })).value).toEqual([
      payload(),
      derived,
      derived,
    ]);
  });

  test('and what it does to its attempt changes nothing for the next one', async () => {
    leases.during = ({ current }) => {
      Object.assign(current, { key: 'other', attempt: 7, deriveKey: () => 'forged' });
      throw new Error('crash');
    };
    await leases.call('rerun', key);
    leases.during = ({ key: own, attempt, deriveKey }) => [own, attempt, deriveKey('a') === 'forged'];
    expect((await leases.call('rerun', key)).value).toEqual([key, 2, false]);
  });
});
