/** The SQL function `release_lease`: the key is new again, where that nothing was done is known of all attempts. */

import type { Client } from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Fence } from '../../../src/record/record.ts';
import { createDatabase } from '../../support/database.ts';
import { eventually } from '../../support/signal.ts';
import { connect, refusalOf } from './connection.ts';
import { isWaiting, newIdentity } from './functions.ts';
import {
  LEASE_MS,
  abandon,
  age,
  claimLease,
  columnsOf,
  newFence,
  read,
  recordStep,
  releaseLease,
  takeOver,
  termsOf,
} from './lease-sql.ts';

let url: string;
let one: Client;
let two: Client;
let identity: Buffer;
let fence: Fence;
beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});
beforeEach(async () => {
  identity = newIdentity();
  fence = newFence();
  [one, two] = [await connect(url), await connect(url)];
  await claimLease(one, fence, termsOf(identity));
});

/** Makes it the second attempt, under a new fence. */
async function secondAttempt({ rerun = true } = {}): Promise<void> {
  await age(one, identity, LEASE_MS);
  const next = newFence();
  await takeOver(one, next, { identity, seen: fence, rerun });
  fence = next;
}

test('a first attempt without steps leaves no row', async () => {
  expect(await releaseLease(one, { identity, fence })).toBe(true);
  expect(await columnsOf(one, identity)).toBeUndefined();
});

describe('the row is kept, its outcome unknown since now,', () => {
  async function kept(): Promise<void> {
    expect(await releaseLease(one, { identity, fence })).toBe(false);
    expect(await columnsOf(one, identity)).toMatchObject({ state: 'unknown', fence });
    const { rows } = await one.query(
      `select abandoned_at between clock_timestamp() - interval '5 s' and clock_timestamp() as now
        from graphql_idempotency.record where identity = $1`,
      [identity],
    );
    expect(rows).toEqual([{ now: true }]);
  }

  test('where a step is recorded', async () => {
    await recordStep(one, { identity, fence }, 'paid');
    await kept();
    expect((await read(one, identity)).row!.steps).toHaveLength(1);
  });

  test('where another attempt came before', async () => {
    await secondAttempt();
    await kept();
  });
});

test('who has found out about all attempts leaves no row, and no journal', async () => {
  await recordStep(one, { identity, fence }, 'paid');
  await secondAttempt();
  await recordStep(one, { identity, fence }, 'booked');
  expect(await releaseLease(one, { identity, fence }, true)).toBe(true);
  expect(
    (await one.query('select from graphql_idempotency.step where identity = $1', [identity])).rowCount,
  ).toBe(0);
});

test('what was abandoned before somebody tried to find out is abandoned since then', async () => {
  const since = (await columnsOf(one, identity))!['lease_until'] as Date;
  await recordStep(one, { identity, fence }, 'paid');
  await secondAttempt({ rerun: false });
  expect(await releaseLease(one, { identity, fence })).toBe(false);
  const { abandoned_at: abandonedAt } = (await columnsOf(one, identity))!;
  expect((abandonedAt as Date).getTime()).toBe(since.getTime() - LEASE_MS);
});

describe('it changes nothing, and returns null,', () => {
  async function refused(by: Fence): Promise<void> {
    const before = await columnsOf(one, identity);
    for (const settled of [false, true]) {
      expect(await releaseLease(one, { identity, fence: by }, settled)).toBeNull();
    }
    expect(await columnsOf(one, identity)).toEqual(before);
  }

  test('by another fence', () => refused(newFence()));

  test('after a takeover', async () => {
    const seen = fence;
    await secondAttempt();
    await refused(seen);
  });

  test('once the outcome is unknown', async () => {
    await abandon(one, { identity, fence });
    await refused(fence);
  });

  test('when it was released before', async () => {
    await releaseLease(one, { identity, fence });
    await refused(fence);
  });
});

describe('against a step whose commit is under way', () => {
  async function waitingRelease(settled: boolean): Promise<{ readonly released: Promise<boolean | null> }> {
    const observer = await connect(url);
    await one.query('begin');
    await recordStep(one, { identity, fence }, 'paid');
    const released = releaseLease(two, { identity, fence }, settled);
    released.catch(() => undefined);
    await eventually(() => isWaiting(observer, two));
    return { released };
  }

  test('it waits, and sees the step that was committed meanwhile', async () => {
    const { released } = await waitingRelease(false);
    await one.query('commit');
    expect(await released).toBe(false);
    expect((await read(one, identity)).row).toMatchObject({
      record: { state: 'unknown' },
      steps: [{ name: 'paid' }],
    });
  });

  test('it waits, and leaves no row when the step is rolled back', async () => {
    const { released } = await waitingRelease(false);
    await one.query('rollback');
    expect(await released).toBe(true);
    expect(await columnsOf(one, identity)).toBeUndefined();
  });

  test.each(['repeatable read', 'serializable'])(
    'at %s, where it could not see it, it is refused',
    async (level) => {
      await two.query(`begin isolation level ${level}`);
      expect((await refusalOf(releaseLease(two, { identity, fence }))).code).toBe('40001');
      await two.query('rollback');
      expect(await columnsOf(one, identity)).toMatchObject({ state: 'pending' });
    },
  );
});
