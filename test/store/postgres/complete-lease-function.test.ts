/** The SQL function `complete_lease`: the holder's outcome, once, by the terms of the claim. */

import type { Client } from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Fence } from '../../../src/record/record.ts';
import type { Outcome } from '../../../src/store/lease-port.ts';
import { createDatabase } from '../../support/database.ts';
import { connect, refusalOf } from './connection.ts';
import { newIdentity } from './functions.ts';
import {
  LEASE_MS,
  TOMBSTONE_MS,
  TTL_MS,
  abandon,
  age,
  claimLease,
  columnsOf,
  completeLease,
  newFence,
  read,
  recordStep,
  releaseLease,
  renew,
  send,
  takeOver,
  termsOf,
} from './lease-sql.ts';

let url: string;
let one: Client;
let identity: Buffer;
let fence: Fence;
beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});
beforeEach(async () => {
  identity = newIdentity();
  fence = newFence();
  one = await connect(url);
  await claimLease(one, fence, termsOf(identity));
});

const LOST = { completed_ms: null, expires_ms: null, takeover_ms: null };

/** Completes what must not be. */
async function refused(by: Fence): Promise<void> {
  const before = await columnsOf(one, identity);
  const answer = await completeLease(
    one,
    { identity, fence: by },
    { outcome: 'error', codecVersion: 1, body: Buffer.from('late') },
  );
  expect(answer).toEqual(LOST);
  expect(await columnsOf(one, identity)).toEqual(before);
}

test.each(['repeatable read', 'serializable'])(
  'at %s, where it could not see a step that commits meanwhile, it completes only without steps',
  async (level) => {
    await one.query(`begin isolation level ${level}`);
    const refusal = await refusalOf(completeLease(one, { identity, fence }));
    expect(refusal.code).toBe('40001');
    await one.query('rollback');
    await one.query(`begin isolation level ${level}`);
    expect((await completeLease(one, { identity, fence }, undefined, false)).completed_ms).not.toBeNull();
    await one.query('commit');
  },
);

test('it writes the outcome, whose clocks run from completion by the terms of the claim', async () => {
  await age(one, identity, LEASE_MS / 2);
  const answer = await completeLease(one, { identity, fence });
  expect(answer.expires_ms - answer.completed_ms!).toBeCloseTo(TTL_MS, 0);
  expect(answer.takeover_ms - answer.expires_ms).toBeCloseTo(TOMBSTONE_MS, 0);
  expect(await columnsOf(one, identity)).toMatchObject({
    mode: 'lease',
    state: 'completed',
    outcome: 'result',
    codec_version: 1,
    body: Buffer.from('"body"'),
    lease_until: null,
    ttl_ms: null,
    tombstone_ttl_ms: null,
    abandoned_at: null,
  });
  const { rows } = await one.query(
    `select completed_at between clock_timestamp() - interval '5 s' and clock_timestamp() as now,
      sweep_after = expires_at as due, expires_at - completed_at = interval '2 h' as ttl,
      abs(extract(epoch from completed_at) * 1000 - $2::float8) < 0.01 as returned
    from graphql_idempotency.record where identity = $1`,
    [identity, answer.completed_ms],
  );
  expect(rows).toEqual([{ now: true, due: true, ttl: true, returned: true }]);
});

test.each<Outcome>([
  { outcome: 'error', codecVersion: 3, body: Buffer.from('error') },
  { outcome: 'omitted', codecVersion: 1, body: undefined },
])('it keeps an outcome of each kind: $outcome', async (outcome) => {
  await completeLease(one, { identity, fence }, outcome);
  expect((await read(one, identity)).row!.record).toMatchObject({ ...outcome, body: outcome.body ?? null });
});

test('a lease that has lapsed is completed all the same, where nobody has taken it over', async () => {
  await age(one, identity, LEASE_MS * 2);
  expect(await completeLease(one, { identity, fence })).not.toEqual(LOST);
});

test('sent again, it finds its own record, and changes nothing', async () => {
  const first = await completeLease(one, { identity, fence });
  const before = await columnsOf(one, identity);
  const other: Outcome = { outcome: 'error', codecVersion: 1, body: Buffer.from('other') };
  expect(await completeLease(one, { identity, fence }, other)).toEqual(first);
  expect(await columnsOf(one, identity)).toEqual(before);
});

describe('it writes nothing, and returns nulls,', () => {
  test('by another fence', () => refused(newFence()));

  test('after a takeover', async () => {
    await age(one, identity, LEASE_MS);
    await takeOver(one, newFence(), { identity, seen: fence });
    await refused(fence);
  });

  test('once the outcome is unknown', async () => {
    await abandon(one, { identity, fence });
    await refused(fence);
  });

  test('once it was released', async () => {
    await releaseLease(one, { identity, fence });
    await refused(fence);
  });

  test('over the outcome of another', async () => {
    await age(one, identity, LEASE_MS);
    const winner = newFence();
    await takeOver(one, winner, { identity, seen: fence });
    await completeLease(one, { identity, fence: winner });
    await refused(fence);
  });

  test('once the key was claimed anew', async () => {
    await completeLease(one, { identity, fence });
    await age(one, identity, TTL_MS + TOMBSTONE_MS);
    await claimLease(one, newFence(), termsOf(identity));
    await refused(fence);
  });
});

test('a record that replays is neither renewed nor released nor taken over', async () => {
  await completeLease(one, { identity, fence });
  const before = await columnsOf(one, identity);
  expect(await renew(one, { identity, fence })).toBe(false);
  expect(await abandon(one, { identity, fence })).toBe(false);
  expect(await releaseLease(one, { identity, fence }, true)).toBeNull();
  expect(await takeOver(one, newFence(), { identity, seen: fence })).toBeUndefined();
  expect(await columnsOf(one, identity)).toEqual(before);
});

test('the journal goes with the attempt, and only this identity’s', async () => {
  const other = newIdentity();
  await claimLease(one, fence, termsOf(other));
  for (const each of [identity, other]) await recordStep(one, { identity: each, fence }, 'paid');
  await completeLease(one, { identity, fence });
  expect((await read(one, identity)).row!.steps).toEqual([]);
  expect((await read(one, other)).row!.steps).toHaveLength(1);
});

test('its commit is durable where the session’s are not', async () => {
  await one.query(`begin; set local synchronous_commit = 'off'`);
  await completeLease(one, { identity, fence });
  const { rows } = await send(one, `select current_setting('synchronous_commit') as value`);
  expect(rows).toEqual([{ value: 'on' }]);
});
