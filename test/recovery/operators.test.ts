/** What an operator sees of abandoned attempts, and how one is settled by hand. */

import { describe, expect, test } from 'vitest';
import { FinalError } from 'graphql-idempotency';
import type { Recovery } from 'graphql-idempotency';
import { eventually } from '../support/signal.ts';
import { CRASH, executed, leaseCase, replayed, said } from './lease-case.ts';
import type { FieldName, Instance, LeaseCase, Work } from './lease-case.ts';
import { leaseMessages } from './lease-messages.ts';

/** Fails in its first execution, and returns its argument in later ones. */
function failingOnce(): Work {
  let failed = false;
  return (_, n) => {
    if (failed) return n;
    failed = true;
    throw CRASH;
  };
}

async function abandoned(
  field: FieldName = 'refuse',
): Promise<LeaseCase & { readonly instance: Instance; readonly identity: string }> {
  const environment = await leaseCase();
  const instance = await environment.start({ work: failingOnce() });
  await instance.call(field, 'a');
  const [record] = await instance.idempotency.abandoned();
  return { ...environment, instance, identity: record!.identity };
}

describe('abandoned()', () => {
  test('lists which, since when, which attempt and its steps; not what is live or completed', async () => {
    const { start, hold, until, lapse } = await leaseCase();
    const instance = await start({
      async work({ step, attempt }, n) {
        if (n === 0) return n;
        if (n === 3) return hold().promise;
        await step('charge', () => ({ cents: 100 * n }));
        if (attempt < 3) throw CRASH;
        return n;
      },
    });
    await instance.call('refuse', 'completed', 0);
    const before = Date.now();
    await instance.call('refuse', 'failed', 1);
    for (let index = 0; index < 2; index += 1) await instance.call('rerun', 'failed-twice', 2);
    const after = Date.now();
    void instance.call('refuse', 'live', 3);
    await until('pending');

    const other = await start();
    const records = await other.idempotency.abandoned();
    expect(
      records.map(({ coordinate, attempt, steps }) => ({ coordinate, attempt, steps })).toSorted(byName),
    ).toEqual([
      {
        coordinate: 'Mutation.refuse',
        attempt: 1,
        steps: [{ name: 'charge', attempt: 1, outcome: 'result', value: { cents: 100 } }],
      },
      {
        coordinate: 'Mutation.rerun',
        attempt: 2,
        steps: [{ name: 'charge', attempt: 1, outcome: 'result', value: { cents: 200 } }],
      },
    ]);
    for (const { identity, abandonedAt } of records) {
      expect(identity).toMatch(/^[0-9a-f]{64}$/);
      expect(abandonedAt.getTime()).toBeGreaterThanOrEqual(before - 1);
      expect(abandonedAt.getTime()).toBeLessThanOrEqual(after + 1);
    }

    await lapse();
    const lapsed = await other.idempotency.abandoned();
    expect(lapsed).toHaveLength(3);
  });

  test('a lapsed attempt is abandoned since the end of its lease', async () => {
    const { start, hold, until, lapse, client } = await leaseCase();
    const instance = await start({ work: () => hold().promise });
    void instance.call('refuse', 'a');
    await until('pending');
    await lapse();
    const { rows } = await client.query<{ lease_until: Date }>(
      'select lease_until from graphql_idempotency.record',
    );
    expect((await instance.idempotency.abandoned())[0]?.abandonedAt).toEqual(rows[0]!.lease_until);
  });

  test('no more than limit, and a hundred by default', async () => {
    const { start, client } = await leaseCase();
    const instance = await start({ work: failingOnce() });
    await instance.call('refuse', 'a');
    // The same record under other identities: what 120 crashes would leave.
    await client.query(`create temporary table copy as select * from graphql_idempotency.record`);
    await client.query(
      `insert into graphql_idempotency.record
       select (jsonb_populate_record(r, jsonb_build_object('identity', sha256(n::text::bytea)))).*
       from copy as c, generate_series(1, 119) as n,
         lateral jsonb_populate_record(null::graphql_idempotency.record, to_jsonb(c)) as r`,
    );
    expect(await instance.idempotency.abandoned()).toHaveLength(100);
    expect(await instance.idempotency.abandoned({})).toHaveLength(100);
    expect(await instance.idempotency.abandoned({ limit: 7 })).toHaveLength(7);
    expect(await instance.idempotency.abandoned({ limit: 1000 })).toHaveLength(120);
  });
});

describe('a step that cannot be read', () => {
  test.each([
    ['because a newer build has recorded it', 'codec_version = 99'],
    ['because it is damaged', `body = '\\x00ff'`],
  ])('%s, is shown as done, and not decoded by rules that are not its own', async (_, change) => {
    const { start, client } = await leaseCase();
    const instance = await start({
      async work({ step }) {
        await step('charge', () => ({ cents: 100 }));
        throw CRASH;
      },
    });
    await instance.call('refuse', 'a');
    await client.query(`update graphql_idempotency.step set ${change}`);
    const [record] = await instance.idempotency.abandoned();
    expect(record!.steps).toEqual([{ name: 'charge', attempt: 1, outcome: 'omitted', value: undefined }]);
  });
});

test.each([0, -1, 1.5, Number.NaN, '7'])('a limit of %s is refused, with what it expects', async (limit) => {
  const { start } = await leaseCase();
  const instance = await start();
  await expect(instance.idempotency.abandoned({ limit: limit as number })).rejects.toThrow(
    new TypeError('abandoned({ limit }) expects a whole number of at least 1.'),
  );
});

const byName = (one: { coordinate: string }, other: { coordinate: string }): number =>
  one.coordinate.localeCompare(other.coordinate);

describe('resolve()', () => {
  test('completed with a result: retries get it', async () => {
    const { instance, identity } = await abandoned();
    expect(await instance.idempotency.resolve(identity, { outcome: 'completed', result: 5 })).toBe(
      'resolved',
    );
    expect(said(await instance.call('refuse', 'a'))).toEqual(replayed(5));
    expect(instance.executed).toEqual([1]);
  });

  test('completed with an error: retries get that', async () => {
    const { instance, identity } = await abandoned();
    const error = new FinalError('Declined.', { extensions: { code: 'DECLINED' } });
    expect(await instance.idempotency.resolve(identity, { outcome: 'completed', error })).toBe('resolved');
    const { body } = await instance.call('refuse', 'a');
    expect(body.errors[0]).toMatchObject({ message: 'Declined.', extensions: { code: 'DECLINED' } });
    expect(instance.executed).toEqual([1]);
  });

  test('not executed: it frees the key, and a retry executes as attempt 1', async () => {
    const { instance, identity, rows } = await abandoned();
    const upper = identity.toUpperCase();
    expect(await instance.idempotency.resolve(upper, { outcome: 'not-executed' })).toBe('resolved');
    expect(await rows()).toEqual([]);
    expect(said(await instance.call('refuse', 'a'))).toEqual(executed(1));
    expect(instance.executed).toEqual([1, 1]);
  });

  test('unknown: it stays as it is, since the time that it was', async () => {
    const { instance, identity } = await abandoned();
    const before = await instance.idempotency.abandoned();
    expect(await instance.idempotency.resolve(identity, { outcome: 'unknown' })).toBe('resolved');
    const after = await instance.idempotency.abandoned();
    expect(after[0]).toMatchObject({ identity, attempt: 1, abandonedAt: before[0]!.abandonedAt });
    expect(said(await instance.call('refuse', 'a'))).toBe('OUTCOME_UNKNOWN');
  });

  test('works after maxAttempts, and at another instance, which has no callback', async () => {
    const { start } = await leaseCase();
    const instance = await start({
      work: () => {
        throw CRASH;
      },
      options: { maxAttempts: 1 },
    });
    await instance.call('rerun', 'a');
    const other = await start();
    const [{ identity } = { identity: '' }] = await other.idempotency.abandoned();
    expect(await other.idempotency.resolve(identity, { outcome: 'completed', result: 8 })).toBe('resolved');
    expect(said(await instance.call('rerun', 'a'))).toEqual(replayed(8));
  });

  test('what is live, completed or absent is not abandoned, and nothing is changed', async () => {
    const { instance, identity, start, hold, until, rows, client } = await abandoned();
    const wanted: Recovery = { outcome: 'not-executed' };
    await instance.idempotency.resolve(identity, { outcome: 'completed', result: 1 });
    const busy = await start({ work: () => hold().promise });
    void busy.call('refuse', 'live');
    await until('pending');
    const identities = await client.query<{ identity: string }>(
      `select encode(identity, 'hex') as identity from graphql_idempotency.record`,
    );
    const before = await rows();
    for (const one of [...identities.rows.map((row) => row.identity), '0'.repeat(64)]) {
      expect(await instance.idempotency.resolve(one, wanted)).toBe('not-abandoned');
    }
    expect(await rows()).toEqual(before);
    expect(said(await instance.call('refuse', 'a'))).toEqual(replayed(1));
  });

  test.each([
    '',
    'a',
    'z'.repeat(64),
    '0'.repeat(63),
    '0'.repeat(65),
    ` ${'0'.repeat(63)}`,
    undefined,
    7,
    null,
  ])('refuses %j as an identity, and says what one is', async (identity) => {
    const { instance } = await abandoned();
    await expect(instance.idempotency.resolve(identity as string, { outcome: 'unknown' })).rejects.toThrow(
      new TypeError('An identity is 64 hexadecimal digits, as idempotency.abandoned() shows it.'),
    );
  });

  test('refuses what is no recovery, says what one is, and changes nothing', async () => {
    const { instance, identity, client } = await abandoned();
    const before = await client.query('select * from graphql_idempotency.record');
    const wrong: unknown[] = [
      undefined,
      null,
      'not-executed',
      {},
      { outcome: 'not_executed' },
      { outcome: 'completed' },
      { outcome: 'completed', result: 1, error: CRASH },
      { result: 1 },
    ];
    for (const recovery of wrong) {
      const resolving = instance.idempotency.resolve(identity, recovery as Recovery);
      await expect(resolving).rejects.toThrow(TypeError);
      await expect(resolving).rejects.toThrow("{ outcome: 'completed', result }");
    }
    expect((await client.query('select * from graphql_idempotency.record')).rows).toEqual(before.rows);
  });
});

describe('races of resolve()', () => {
  test.each([1, 2, 3, 4, 5])('of several at once one resolves, and its answer stands (%i)', async () => {
    const { instance, identity, start } = await abandoned();
    const other = await start();
    const results = [0, 1, 2, 3, 4, 5];
    const said_ = await Promise.all(
      results.map((result) =>
        (result % 2 === 0 ? instance : other).idempotency.resolve(identity, { outcome: 'completed', result }),
      ),
    );
    expect(said_.filter((word) => word === 'resolved')).toHaveLength(1);
    expect(said_.filter((word) => word === 'not-abandoned')).toHaveLength(5);
    expect(said(await other.call('refuse', 'a'))).toEqual(replayed(said_.indexOf('resolved')));
  });

  test('the owner that comes back afterwards cannot complete, and what was resolved stands', async () => {
    const { start, hold, until, lapse } = await leaseCase();
    const finish = hold();
    const owner = await start({
      work: async (_, n) => {
        await finish.promise;
        return n;
      },
    });
    const late = owner.call('refuse', 'a');
    await until('pending');
    await lapse();
    const [{ identity } = { identity: '' }] = await owner.idempotency.abandoned();
    expect(await owner.idempotency.resolve(identity, { outcome: 'completed', result: 50 })).toBe('resolved');
    finish.resolve(undefined);
    expect(said(await late)).toBe('LEASE_LOST');
    expect(said(await owner.call('refuse', 'a'))).toEqual(replayed(50));
  });

  test('an owner that completes first wins, and nothing is resolved', async () => {
    const { start, hold, until, lapse } = await leaseCase();
    const finish = hold();
    const owner = await start({
      work: async (_, n) => {
        await finish.promise;
        return n;
      },
    });
    const late = owner.call('refuse', 'a');
    await until('pending');
    await lapse();
    const [{ identity } = { identity: '' }] = await owner.idempotency.abandoned();
    finish.resolve(undefined);
    // Nobody has taken it over, so the fence is still its own.
    expect(said(await late)).toEqual(executed(1));
    expect(await owner.idempotency.resolve(identity, { outcome: 'not-executed' })).toBe('not-abandoned');
    expect(said(await owner.call('refuse', 'a'))).toEqual(replayed(1));
  });

  test('while a callback looks it up it is not abandoned', async () => {
    const environment = await leaseCase();
    const messages = leaseMessages();
    const answer = environment.hold();
    const instance = await environment.start({
      work: failingOnce(),
      options: {
        recover: {
          'Mutation.refuse': async () => {
            await answer.promise;
            return { outcome: 'unknown' };
          },
        },
      },
    });
    await instance.call('refuse', 'a');
    const [{ identity } = { identity: '' }] = await instance.idempotency.abandoned();
    const asking = instance.call('refuse', 'a');
    await messages.until('recovering');
    expect(await instance.idempotency.resolve(identity, { outcome: 'not-executed' })).toBe('not-abandoned');
    answer.resolve(undefined);
    expect(said(await asking)).toBe('OUTCOME_UNKNOWN');
    await eventually(async () => (await instance.idempotency.abandoned()).length === 1);
    expect(await instance.idempotency.resolve(identity, { outcome: 'not-executed' })).toBe('resolved');
  });
});
