/** Takeovers against what the old holder still has under way: one of them finds the row as the other left it. */

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
  completeLease,
  newFence,
  read,
  recordStep,
  releaseLease,
  renew,
  statements,
  takeOver,
  termsOf,
} from './lease-sql.ts';

let url: string;
let holder: Client;
let other: Client;
let observer: Client;
let identity: Buffer;
let fence: Fence;
let next: Fence;
beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});
beforeEach(async () => {
  identity = newIdentity();
  [fence, next] = [newFence(), newFence()];
  [holder, other, observer] = [await connect(url), await connect(url), await connect(url)];
  await claimLease(holder, fence, termsOf(identity));
});

async function lapse(): Promise<void> {
  await age(observer, identity, LEASE_MS);
}

/** Begins a transaction that takes the lease over, and leaves it open. */
async function openTakeover(client: Client): Promise<void> {
  await client.query('begin');
  const { rowCount } = await client.query(
    statements.takeOver(next, { identity, seen: fence, leaseMs: LEASE_MS, rerun: true }),
  );
  expect(rowCount).toBe(1);
}

/** Starts what must wait for a transaction that is open. */
async function waiting<T>(client: Client, start: () => Promise<T>): Promise<{ readonly done: Promise<T> }> {
  const done = start();
  done.catch(() => undefined);
  await eventually(() => isWaiting(observer, client));
  return { done };
}

const waitingTakeover = () =>
  waiting(other, () => takeOver(other, next, { identity, seen: fence, rerun: true }));

test('a takeover that waits for a step’s commit returns the journal with that step', async () => {
  await recordStep(holder, { identity, fence }, 'first');
  // Locked before it lapses, as the share lock is held while the row is aged.
  await lapse();
  await holder.query('begin');
  await recordStep(holder, { identity, fence }, 'second');
  const { done } = await waitingTakeover();
  await holder.query('commit');
  expect(await done).toEqual({ attempt: 2, steps: ['first', 'second'] });
});

test('a takeover that waits for a step’s rollback returns the journal without it', async () => {
  await lapse();
  await holder.query('begin');
  await recordStep(holder, { identity, fence }, 'first');
  const { done } = await waitingTakeover();
  await holder.query('rollback');
  expect(await done).toEqual({ attempt: 2, steps: [] });
});

test('a step that waits for a takeover raises GI003', async () => {
  await lapse();
  await openTakeover(other);
  const { done } = await waiting(holder, () => recordStep(holder, { identity, fence }, 'late'));
  await other.query('commit');
  expect((await refusalOf(done)).code).toBe('GI003');
  expect((await read(observer, identity)).row).toMatchObject({ record: { fence: next }, steps: [] });
});

describe('a renewal and a takeover', () => {
  test('renewed first: the takeover finds a lease that lives, and changes nothing', async () => {
    await lapse();
    await holder.query('begin');
    expect(await renew(holder, { identity, fence })).toBe(true);
    const { done } = await waitingTakeover();
    await holder.query('commit');
    expect(await done).toBeUndefined();
    expect(await columnsOf(observer, identity)).toMatchObject({ fence, attempt: 1 });
  });

  test('taken over first: the renewal finds nothing', async () => {
    await lapse();
    await openTakeover(other);
    const { done } = await waiting(holder, () => renew(holder, { identity, fence }, LEASE_MS * 5));
    await other.query('commit');
    expect(await done).toBe(false);
    const { row, clockMs } = await read(observer, identity);
    expect(row).toMatchObject({ record: { fence: next, attempt: 2 } });
    expect((row!.record as { leaseUntilMs: number }).leaseUntilMs).toBeLessThan(clockMs + LEASE_MS * 2);
  });

  test('a takeover that is rolled back leaves the renewal its lease', async () => {
    await lapse();
    await openTakeover(other);
    const { done } = await waiting(holder, () => renew(holder, { identity, fence }));
    await other.query('rollback');
    expect(await done).toBe(true);
  });
});

describe('a completion and a takeover', () => {
  test('completed first: the takeover changes nothing', async () => {
    await lapse();
    await holder.query('begin');
    await completeLease(holder, { identity, fence });
    const { done } = await waitingTakeover();
    await holder.query('commit');
    expect(await done).toBeUndefined();
    expect(await columnsOf(observer, identity)).toMatchObject({ state: 'completed', fence });
  });

  test('taken over first: the completion changes nothing, and says so', async () => {
    await lapse();
    await openTakeover(other);
    const { done } = await waiting(holder, () => completeLease(holder, { identity, fence }));
    await other.query('commit');
    expect((await done).completed_ms).toBeNull();
    expect(await columnsOf(observer, identity)).toMatchObject({ state: 'pending', fence: next });
  });
});

describe.each([
  ['a release', () => releaseLease(holder, { identity, fence }), null],
  ['an abandonment', () => abandon(holder, { identity, fence }), false],
] as const)('%s and a takeover', (_, write, lost) => {
  test('taken over first: it changes nothing', async () => {
    await lapse();
    await openTakeover(other);
    const { done } = await waiting(holder, async () => write());
    await other.query('commit');
    expect(await done).toBe(lost);
    expect(await columnsOf(observer, identity)).toMatchObject({ state: 'pending', fence: next });
  });
});

test('a release first: the takeover finds no row', async () => {
  await lapse();
  await holder.query('begin');
  await releaseLease(holder, { identity, fence });
  const { done } = await waitingTakeover();
  await holder.query('commit');
  expect(await done).toBeUndefined();
});

test('an abandonment first: the takeover takes what was left', async () => {
  await lapse();
  await holder.query('begin');
  await abandon(holder, { identity, fence });
  const { done } = await waitingTakeover();
  await holder.query('commit');
  expect(await done).toEqual({ attempt: 2, steps: [] });
});

test('of two that saw the same abandoned record, one takes it over', async () => {
  await lapse();
  await openTakeover(other);
  const third = newFence();
  const { done } = await waiting(holder, () =>
    takeOver(holder, third, { identity, seen: fence, rerun: true }),
  );
  await other.query('commit');
  expect(await done).toBeUndefined();
  expect(await columnsOf(observer, identity)).toMatchObject({ fence: next, attempt: 2 });
});

test('of twenty that try at once, one', async () => {
  await lapse();
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(url)));
  const taken = await Promise.all(
    clients.map((client) => takeOver(client, newFence(), { identity, seen: fence, rerun: true })),
  );
  expect(taken.filter((one) => one !== undefined)).toEqual([{ attempt: 2, steps: [] }]);
});

test('a completion that waits for a step’s commit takes its entry along', async () => {
  await holder.query('begin');
  await recordStep(holder, { identity, fence }, 'late');
  const { done } = await waiting(other, () => completeLease(other, { identity, fence }));
  await holder.query('commit');
  expect((await done).completed_ms).not.toBeNull();
  expect((await read(observer, identity)).row).toMatchObject({ record: { state: 'completed' }, steps: [] });
});
