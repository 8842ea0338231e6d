/** The SQL function `claim`: a courtesy lock, settings of one transaction, and a row no older than the lock. */

import type { Client } from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import { eventually } from '../../support/signal.ts';
import { connect } from './connection.ts';
import {
  TOKEN,
  claim,
  claimedTransaction,
  complete,
  completed,
  isWaiting,
  newIdentity,
} from './functions.ts';

let url: string;
let one: Client;
let two: Client;
let identity: Buffer;
beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});
beforeEach(async () => {
  identity = newIdentity();
  [one, two] = [await connect(url), await connect(url)];
});

async function setting(client: Client, name: string): Promise<string> {
  return (await client.query('select current_setting($1, true) as value', [name])).rows[0].value ?? '';
}

describe('the lock', () => {
  test('is granted to one transaction, and free again when that one ends, however it ends', async () => {
    for (const end of ['commit', 'rollback']) {
      expect((await claimedTransaction(one, identity)).granted).toBe(true);
      expect((await claimedTransaction(two, identity)).granted).toBe(false);
      await one.query(end);
      expect((await claim(two, identity)).granted).toBe(true);
      await two.query(end);
    }
  });

  test('does not wait', async () => {
    await claimedTransaction(one, identity);
    await two.query(`begin; set local lock_timeout = '1ms'`);
    expect((await claim(two, identity)).granted).toBe(false);
  });

  test('leaves other identities alone, also those that differ in one byte', async () => {
    await claimedTransaction(one, identity);
    const neighbour = Buffer.from(identity);
    neighbour[7]! ^= 1;
    expect((await claimedTransaction(two, neighbour)).granted).toBe(true);
  });

  test('two identities with the same first 64 bits cost a false refusal, and nothing else', async () => {
    const twin = Buffer.concat([identity.subarray(0, 8), newIdentity().subarray(8)]);
    await claimedTransaction(one, identity);
    expect(await claimedTransaction(two, twin)).toMatchObject({ granted: false, state: null });
    await complete(one, identity);
    await complete(two, twin);
    await one.query('commit');
    await two.query('commit');
    expect((await claimedTransaction(one, twin)).state).toBe('completed');
    expect((await claim(one, identity)).state).toBe('completed');
  });

  test('survives the resolver’s own savepoints', async () => {
    await claimedTransaction(one, identity);
    await one.query('savepoint a; select 1; rollback to a; release a; savepoint b');
    await expect(one.query('select 1 / 0')).rejects.toThrow(/division by zero/);
    await one.query('rollback to b');
    expect((await claimedTransaction(two, identity)).granted).toBe(false);
  });

  test('is freed when the connection is gone', async () => {
    await claimedTransaction(one, identity);
    await two.query('select pg_terminate_backend($1)', [(one as unknown as { processID: number }).processID]);
    await eventually(async () => {
      await two.query('rollback');
      return (await claimedTransaction(two, identity)).granted;
    });
  });
});

describe('the marker', () => {
  test('lives as long as the transaction, also across the savepoints of a resolver', async () => {
    await claimedTransaction(one, identity);
    await one.query('savepoint a; rollback to a; savepoint b; release b');
    expect(await setting(one, 'idempotency.attempt')).toBe(TOKEN);
    await one.query('savepoint c');
    await expect(one.query('select 1 / 0')).rejects.toThrow(/division by zero/);
    await one.query('rollback to c');
    expect(await setting(one, 'idempotency.attempt')).toBe(TOKEN);
  });

  test.each(['commit', 'rollback', 'commit and chain', 'rollback and chain', 'commit; begin'])(
    'is gone after %s',
    async (end) => {
      await claimedTransaction(one, identity);
      await one.query(end);
      expect(await setting(one, 'idempotency.attempt')).toBe('');
    },
  );
});

test('its settings are those of its transaction, and nothing is left of them on the connection', async () => {
  const limits = ['transaction_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout'];
  const all = (): Promise<string[]> =>
    Promise.all([...limits, 'client_connection_check_interval'].map((name) => setting(one, name)));
  const before = await all();
  await one.query('begin');
  await one.query('select graphql_idempotency.claim($1, 1, $2, 1234, 567)', [identity, TOKEN]);
  const [transaction, statement, idle, check] = await all();
  // Postgres 17 can bound a transaction; older ones bound what it consists of.
  expect(transaction === '1234ms' || (statement === '1234ms' && idle === '1234ms')).toBe(true);
  expect(check).toBe('567ms');
  await one.query('commit');
  expect(await all()).toEqual(before);
  await one.query('begin');
  await one.query('select graphql_idempotency.claim($1, 1, $2, 0, 0)', [identity, TOKEN]);
  expect(await all()).toEqual(before);
});

test('it returns the row as stored, and the database’s clock in milliseconds', async () => {
  const body = Buffer.from([0, 255, 92, 39]);
  const completedMs = await completed(one, identity, { body, ttlMs: 60_000, tombstoneMs: 5_000 });
  const row = await claimedTransaction(two, identity);
  expect(row).toMatchObject({
    granted: true,
    in_recovery: false,
    claim_authorization: 'postgres',
    claim_role: 'none',
    claim_synchronous_commit: 'on',
  });
  expect(row['existing']).toEqual({
    state: 'completed',
    outcome: 'result',
    fence: null,
    attempt: 1,
    leaseUntilMs: null,
    completedMs: expect.closeTo(completedMs, 2),
    expiresMs: expect.closeTo(completedMs + 60_000, 2),
    takeoverMs: expect.closeTo(completedMs + 65_000, 2),
    fingerprintVersion: 1,
    fingerprint: '03'.repeat(32),
    codecVersion: 1,
    encryptionKeyId: null,
    body: body.toString('hex'),
  });
  expect(row['clock_ms'] as number).toBeGreaterThanOrEqual(completedMs);
});

test('the row is no older than the lock: a holder that commits just before the lock is taken is seen', async () => {
  const gatekeeper = await connect(url);
  await gatekeeper.query('select pg_advisory_lock(7)');
  await claimedTransaction(one, identity);
  await complete(one, identity);

  // The statement has its snapshot and waits at the gate, before the function runs.
  await two.query('begin');
  const claiming = two.query(
    `select c.granted, c.existing ->> 'state' as state from (select pg_advisory_xact_lock_shared(7)::text as gate) as g,
      lateral graphql_idempotency.claim($1, $2, 'other' || g.gate, 10000, 0) as c`,
    [identity, identity.readBigInt64BE(0)],
  );
  await eventually(() => isWaiting(gatekeeper, two));
  await one.query('commit');
  await gatekeeper.query('select pg_advisory_unlock(7)');
  expect((await claiming).rows).toEqual([{ granted: true, state: 'completed' }]);
});

test('an uncommitted record is not seen', async () => {
  await claimedTransaction(one, identity);
  await complete(one, identity);
  expect(await claimedTransaction(two, identity)).toMatchObject({ granted: false, state: null });
});
