/** The SQL function `record_step`: an entry of the holder's in the journal, once, or an error that stops a COMMIT. */

import type { Client } from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Fence } from '../../../src/record/record.ts';
import { createDatabase } from '../../support/database.ts';
import { eventually } from '../../support/signal.ts';
import { connect, refusalOf } from './connection.ts';
import { TOKEN, claimedTransaction, isWaiting, newIdentity } from './functions.ts';
import {
  LEASE_MS,
  abandon,
  age,
  claimLease,
  completeLease,
  newFence,
  read,
  recordStep,
  releaseLease,
  send,
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

async function journal(): Promise<readonly string[]> {
  return (await read(one, identity)).row?.steps.map(({ name }) => name) ?? [];
}

test('it writes the entry, with what came of the step and who recorded it', async () => {
  expect(await recordStep(one, { identity, fence }, 'paid')).toBe(true);
  const omitted = { outcome: 'omitted', codecVersion: 1, body: undefined } as const;
  expect(await recordStep(one, { identity, fence }, 'booked', { outcome: omitted })).toBe(true);
  const { rows } = await one.query(
    `select name, fence, attempt, outcome, codec_version, body,
      completed_at between clock_timestamp() - interval '5 s' and clock_timestamp() as now
    from graphql_idempotency.step where identity = $1 order by name`,
    [identity],
  );
  const shared = { fence, attempt: 1, codec_version: 1, now: true };
  expect(rows).toEqual([
    { ...shared, name: 'booked', outcome: 'omitted', body: null },
    { ...shared, name: 'paid', outcome: 'result', body: Buffer.from('"body"') },
  ]);
});

test('sent again, it is there already, and stays as it was', async () => {
  await recordStep(one, { identity, fence }, 'paid');
  const other = { outcome: 'error', codecVersion: 1, body: Buffer.from('other') } as const;
  expect(await recordStep(one, { identity, fence }, 'paid', { outcome: other })).toBe(false);
  const { rows } = await one.query('select outcome from graphql_idempotency.step where identity = $1', [
    identity,
  ]);
  expect(rows).toEqual([{ outcome: 'result' }]);
});

test('a lease that has lapsed may record, where nobody has taken it over', async () => {
  await age(one, identity, LEASE_MS * 2);
  expect(await recordStep(one, { identity, fence }, 'paid')).toBe(true);
});

test('what another attempt has recorded raises GI004', async () => {
  await recordStep(one, { identity, fence }, 'paid');
  await age(one, identity, LEASE_MS);
  const next = newFence();
  await takeOver(one, next, { identity, seen: fence });
  expect((await refusalOf(recordStep(one, { identity, fence: next }, 'paid'))).code).toBe('GI004');
  expect((await read(one, identity)).row!.steps).toEqual([{ name: 'paid', fence }]);
  expect(await recordStep(one, { identity, fence: next }, 'booked')).toBe(true);
});

describe('it raises GI003, and records nothing,', () => {
  const lost: Record<string, () => Promise<unknown>> = {
    'after a takeover': async () => {
      await age(one, identity, LEASE_MS);
      await takeOver(one, newFence(), { identity, seen: fence });
    },
    'once the outcome is unknown': () => abandon(one, { identity, fence }),
    'once it is completed': () => completeLease(one, { identity, fence }),
    'once it was released': () => releaseLease(one, { identity, fence }),
  };
  test.each(Object.entries(lost))('%s', async (_, lose) => {
    await lose();
    expect((await refusalOf(recordStep(one, { identity, fence }, 'paid'))).code).toBe('GI003');
    expect(await journal()).toEqual([]);
  });

  test('and the COMMIT behind it commits nothing', async () => {
    await one.query('create table if not exists effect (id integer)');
    await age(one, identity, LEASE_MS);
    await takeOver(two, newFence(), { identity, seen: fence });
    await one.query('begin; insert into effect values (1)');
    expect((await refusalOf(recordStep(one, { identity, fence }, 'paid'))).code).toBe('GI003');
    expect((await one.query('commit')).command).toBe('ROLLBACK');
    expect((await one.query('select from effect')).rowCount).toBe(0);
  });
});

describe('in a transaction of the step’s own', () => {
  test('it is written by the marker of that transaction, and ends with it', async () => {
    await claimedTransaction(one, newIdentity());
    expect(await recordStep(one, { identity, fence }, 'paid', { marker: TOKEN })).toBe(true);
    await one.query('rollback');
    expect(await journal()).toEqual([]);
  });

  test.each([
    'rollback',
    'commit',
    'commit; begin',
    'rollback and chain',
    `set local idempotency.attempt = 'x'`,
  ])('it raises GI002 after somebody’s %s', async (end) => {
    await claimedTransaction(one, newIdentity());
    await one.query(end);
    expect((await refusalOf(recordStep(one, { identity, fence }, 'paid', { marker: TOKEN }))).code).toBe(
      'GI002',
    );
    await one.query('rollback');
    expect(await journal()).toEqual([]);
  });

  test('the same entry, sent beside it, waits to be told whether it was committed', async () => {
    const observer = await connect(url);
    for (const [end, fresh] of [
      ['commit', false],
      ['rollback', true],
    ] as const) {
      const name = `ended by ${end}`;
      await one.query('begin');
      await recordStep(one, { identity, fence }, name);
      await two.query('begin');
      const asked = recordStep(two, { identity, fence }, name);
      await eventually(() => isWaiting(observer, two));
      await one.query(end);
      expect(await asked).toBe(fresh);
      await two.query('rollback');
    }
    expect(await journal()).toEqual(['ended by commit']);
  });

  test('two steps of one attempt don’t wait for each other', async () => {
    await one.query('begin');
    await two.query('begin');
    await recordStep(one, { identity, fence }, 'one');
    await recordStep(two, { identity, fence }, 'two', { lockTimeoutMs: 1000 });
    await one.query('commit');
    await two.query('commit');
    expect((await journal()).toSorted()).toEqual(['one', 'two']);
  });

  test('it waits for a write of the row no longer than its lock_timeout', async () => {
    await one.query('begin');
    await one.query('select from graphql_idempotency.record where identity = $1 for update', [identity]);
    const waited = recordStep(two, { identity, fence }, 'paid', { lockTimeoutMs: 20 });
    expect((await refusalOf(waited)).code).toBe('55P03');
  });
});

test('its commit is durable where the session’s are not', async () => {
  await one.query(`begin; set local synchronous_commit = 'off'`);
  await recordStep(one, { identity, fence }, 'paid');
  const { rows } = await send(one, `select current_setting('synchronous_commit') as value`);
  expect(rows).toEqual([{ value: 'on' }]);
});
