/** The SQL function `claim_lease`: a lease for who comes first, and for everybody else the row that is there. */

import type { Client } from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Fence } from '../../../src/record/record.ts';
import { createDatabase } from '../../support/database.ts';
import { eventually } from '../../support/signal.ts';
import { connect, refusalOf } from './connection.ts';
import { claimedTransaction, complete, completed, isWaiting, newIdentity } from './functions.ts';
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
  send,
  statements,
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
});

/** Claims what must not be granted. */
async function refused(client: Client): Promise<string | undefined> {
  const before = await columnsOf(client, identity);
  const { granted, existing } = await claimLease(client, newFence(), termsOf(identity));
  expect(granted).toBe(false);
  expect(await columnsOf(client, identity)).toEqual(before);
  return existing?.state;
}

test('of a new identity it makes a pending row whose lease runs from now', async () => {
  const { granted, clock_ms: clockMs, existing } = await claimLease(one, fence, termsOf(identity));
  expect({ granted, existing }).toEqual({ granted: true, existing: null });
  expect(await columnsOf(one, identity)).toMatchObject({
    mode: 'lease',
    state: 'pending',
    fence,
    attempt: 1,
    coordinate: 'Mutation.wire',
    scope_hash: Buffer.alloc(32, 2),
    fingerprint: Buffer.alloc(32, 3),
    fingerprint_version: 1,
    ttl_ms: String(TTL_MS),
    tombstone_ttl_ms: String(TOMBSTONE_MS),
    abandoned_at: null,
    completed_at: null,
    outcome: null,
    body: null,
  });
  const { row, clockMs: nowMs } = await read(one, identity);
  expect(row).toMatchObject({ record: { leaseUntilMs: expect.closeTo(clockMs + LEASE_MS, 1) }, steps: [] });
  expect(Math.abs(nowMs - clockMs)).toBeLessThan(5000);
});

test('a fence keeps all of its 63 bits', async () => {
  fence = '9223372036854775807' as Fence;
  await claimLease(one, fence, termsOf(identity));
  expect((await read(one, identity)).row).toMatchObject({ record: { fence } });
});

describe('it is granted again', () => {
  test('to who sends it again, whose journal and attempt stay, with a lease that runs from now', async () => {
    await claimLease(one, fence, termsOf(identity));
    await recordStep(one, { identity, fence }, 'paid');
    await age(one, identity, LEASE_MS / 2);
    const { granted, existing } = await claimLease(two, fence, termsOf(identity));
    expect({ granted, existing }).toEqual({ granted: true, existing: null });
    const { row, clockMs } = await read(one, identity);
    expect(row).toMatchObject({ record: { attempt: 1, fence }, steps: [{ name: 'paid', fence }] });
    expect((row!.record as { leaseUntilMs: number }).leaseUntilMs).toBeGreaterThan(clockMs + LEASE_MS * 0.9);
  });

  test('but not once its outcome is unknown, or another has taken over', async () => {
    await claimLease(one, fence, termsOf(identity));
    await abandon(one, { identity, fence });
    expect((await claimLease(one, fence, termsOf(identity))).existing).toMatchObject({ state: 'unknown' });
    const seen = fence;
    await takeOver(one, newFence(), { identity, seen });
    expect((await claimLease(one, seen, termsOf(identity))).granted).toBe(false);
  });
});

describe('it is refused, and says what is there, for', () => {
  test('a lease that is held', async () => {
    await claimLease(one, fence, termsOf(identity));
    expect(await refused(two)).toBe('pending');
  });

  test('a lease that has lapsed: that is for a takeover', async () => {
    await claimLease(one, fence, termsOf(identity));
    await age(one, identity, LEASE_MS * 2);
    expect(await refused(two)).toBe('pending');
  });

  test('an unknown outcome, however old', async () => {
    await claimLease(one, fence, termsOf(identity));
    await abandon(one, { identity, fence });
    await age(one, identity, 1000 * TTL_MS);
    expect(await refused(two)).toBe('unknown');
  });

  test.each(['lease', 'transaction'])('a record of %s mode, until its key is new again', async (mode) => {
    if (mode === 'lease') {
      await claimLease(one, fence, termsOf(identity));
      await completeLease(one, { identity, fence });
    } else {
      await completed(one, identity, { ttlMs: TTL_MS, tombstoneMs: TOMBSTONE_MS });
    }
    expect(await refused(two)).toBe('completed');
    await age(one, identity, TTL_MS + TOMBSTONE_MS - 60_000);
    expect(await refused(two)).toBe('completed');
    await age(one, identity, 60_000);
    const next = newFence();
    expect(await claimLease(two, next, termsOf(identity, { coordinate: 'Mutation.other' }))).toMatchObject({
      granted: true,
      existing: null,
    });
    expect(await columnsOf(one, identity)).toMatchObject({
      mode: 'lease',
      state: 'pending',
      fence: next,
      attempt: 1,
      coordinate: 'Mutation.other',
      outcome: null,
      body: null,
      codec_version: null,
      completed_at: null,
      expires_at: null,
      takeover_after: null,
      sweep_after: null,
    });
  });
});

describe('beside an attempt of transaction mode that has not ended', () => {
  test('it is refused, and makes no row', async () => {
    await claimedTransaction(one, identity);
    expect(await claimLease(two, fence, termsOf(identity))).toMatchObject({ granted: false, existing: null });
    expect(await columnsOf(two, identity)).toBeUndefined();
    await complete(one, identity);
    await one.query('commit');
    expect(await refused(two)).toBe('completed');
  });

  test('it is granted when that one has rolled back', async () => {
    await claimedTransaction(one, identity);
    await one.query('rollback');
    expect(await claimLease(two, fence, termsOf(identity))).toMatchObject({ granted: true });
  });

  test('and an attempt of transaction mode cannot complete over a lease', async () => {
    await claimLease(one, fence, termsOf(identity));
    expect(await claimedTransaction(two, identity)).toMatchObject({ granted: true, state: 'pending' });
    expect((await refusalOf(complete(two, identity))).code).toBe('GI001');
    await two.query('rollback');
  });
});

describe('of two at once', () => {
  test('one is granted, and the other told that somebody is at work', async () => {
    await one.query('begin');
    expect((await claimLease(one, fence, termsOf(identity))).granted).toBe(true);
    expect(await claimLease(two, newFence(), termsOf(identity))).toMatchObject({
      granted: false,
      existing: null,
    });
    await one.query('commit');
    expect(await refused(two)).toBe('pending');
  });

  test('a replay waits for nobody who writes the row', async () => {
    await claimLease(one, fence, termsOf(identity));
    await completeLease(one, { identity, fence });
    await one.query('begin');
    await one.query('select from graphql_idempotency.record where identity = $1 for update', [identity]);
    expect(await refused(two)).toBe('completed');
    await one.query('rollback');
  });

  test('a claim that meets a sweeper at a vacant row waits for it, and makes the row anew', async () => {
    await claimLease(one, fence, termsOf(identity));
    await completeLease(one, { identity, fence });
    await age(one, identity, TTL_MS + TOMBSTONE_MS);
    await one.query('begin');
    await one.query('delete from graphql_idempotency.record where identity = $1', [identity]);
    const next = newFence();
    const claiming = claimLease(two, next, termsOf(identity));
    const observer = await connect(url);
    await eventually(() => isWaiting(observer, two));
    await one.query('commit');
    expect((await claiming).granted).toBe(true);
    expect(await columnsOf(one, identity)).toMatchObject({ state: 'pending', fence: next });
  });
});

test('its commit is durable where the session’s are not', async () => {
  for (const [session, expected] of [
    ['off', 'on'],
    ['local', 'local'],
    ['on', 'on'],
  ]) {
    identity = newIdentity();
    await one.query(`begin; set local synchronous_commit = '${session}'`);
    await claimLease(one, newFence(), termsOf(identity));
    const { rows } = await send(one, `select current_setting('synchronous_commit') as value`);
    expect(rows).toEqual([{ value: expected }]);
    await one.query('commit');
  }
});

test('the statement before a takeover sees to the same', async () => {
  await one.query(`begin; set local synchronous_commit = 'off'`);
  await send(one, statements.settings);
  const { rows } = await send(
    one,
    `select current_setting('synchronous_commit') as sync, current_setting('lock_timeout') as timeout`,
  );
  expect(rows).toEqual([{ sync: 'on', timeout: '10s' }]);
});
