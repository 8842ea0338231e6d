/** The primary key keeps a late COMMIT and the retry apart; the lock only spares the loser its work. */

import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { MessageMatch } from '../../support/proxy-rules.ts';
import { type Service, startService } from '../../support/service.ts';
import { eventually } from '../../support/signal.ts';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from './retries.ts';
import { type SlowCommits, slowCommits } from './slow-commits.ts';

const RECORD_AND_COMMIT: MessageMatch = { from: 'client', type: 'Query', sql: /\.complete\([^]*\bcommit$/ };

describe.each(['with the lock', 'with a lock that everybody gets'] as const)('%s', (variant) => {
  const lockless = variant !== 'with the lock';
  let database: TestDatabase;
  let proxy: PostgresProxy;
  /** Whose messages come late. */
  let late: Service;
  let other: Service;
  let slow: SlowCommits;

  beforeAll(async () => {
    database = await createDatabase({ migrated: true });
    if (lockless) await grantEverybody(database.url);
    proxy = await startPostgresProxy({ target: database.url });
    const options = { ...shortTimeouts, migrate: false };
    late = await startService({
      databaseUrl: database.url,
      // Its COMMIT is not given up while others wait for it.
      options: { ...options, postgres: proxy.url, commitTimeout: 3000 },
    });
    other = await startService({ databaseUrl: database.url, options });
    slow = await slowCommits(database.url);
  });

  afterEach(async () => {
    await proxy.healAll();
    await slow.release();
  });

  afterAll(async () => {
    await late.stop();
    await other.stop();
    await slow.close();
    await proxy.close();
    await database.drop();
  });

  it('a record and COMMIT that arrive after TRANSACTION_ABORTED make no second payment', async () => {
    const held = proxy.on(RECORD_AND_COMMIT, 'hold');
    expect(outcomeOf(await pay(late, 'late'))).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    expect(await paidFor(other, 'late')).toBe(0);
    // The old transaction still holds the lock, where there is one; without it the retry executes.
    expect(outcomeOf(await pay(other, 'late'))).toBe(lockless ? 'executed' : 'IDEMPOTENCY_IN_PROGRESS');
    const ended = proxy.on({ from: 'server', type: 'ReadyForQuery' }, 'observe');
    held.release();
    expect((await ended.matched).status).toBe(lockless ? 'E' : 'I');
    await expectOnePayment(other, 'late', 'replayed');
    await expectOnePayment(late, 'late', 'replayed');
  });

  it('duplicates at the same instant in two processes make one payment', async () => {
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, index) => pay(index % 2 === 0 ? late : other, 'burst')),
    );
    const outcomes = replies.map(outcomeOf);
    expect(outcomes.filter((outcome) => outcome === 'executed')).toHaveLength(1);
    expect(
      outcomes.filter((outcome) => !/^(?:executed|replayed|IDEMPOTENCY_IN_PROGRESS)$/.test(outcome!)),
    ).toEqual([]);
    await expectOnePayment(other, 'burst', 'replayed');
  });

  it('a duplicate of an attempt that is committing is told to wait, and replays after', async () => {
    await slow.hold();
    const first = pay(late, 'committing');
    await slow.reached();
    // Without the lock it is the record statement that meets the uncommitted row: 55P03.
    const started = performance.now();
    const duplicate = await pay(other, 'committing');
    expect([duplicate.status, duplicate.code]).toEqual([409, 'IDEMPOTENCY_IN_PROGRESS']);
    if (lockless) expect(performance.now() - started).toBeGreaterThan(shortTimeouts.lockTimeout * 0.9);
    await slow.release();
    expect(outcomeOf(await first)).toBe('executed');
    await expectOnePayment(other, 'committing', 'replayed');
  });

  if (lockless)
    it('a duplicate whose record waits for the winner gets the winner’s answer', async () => {
      const patient = await startService({
        databaseUrl: database.url,
        options: { ...shortTimeouts, migrate: false, lockTimeout: 4000, commitTimeout: 8000 },
      });
      await slow.hold();
      const first = pay(late, 'winner');
      await slow.reached();
      const duplicate = pay(patient, 'winner');
      await recordStatementWaits(database.url);
      await slow.release();
      const [winner, loser] = await Promise.all([first, duplicate]);
      expect([winner, loser].map(outcomeOf)).toEqual(['executed', 'replayed']);
      expect(loser.body.data).toEqual(winner.body.data);
      await expectOnePayment(other, 'winner', 'replayed');
      await patient.stop();
    });
});

/** Has the claim grant everybody: what happens then rests on the primary key alone. */
async function grantEverybody(databaseUrl: string): Promise<void> {
  await asClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ definition: string }>(
      `select pg_get_functiondef(oid) as definition from pg_proc
       where proname = 'claim' and pronamespace = 'graphql_idempotency'::regnamespace`,
    );
    const original = rows[0]!.definition;
    const changed = original.replace(/pg_try_advisory_xact_lock\([^;]*;/, 'true;');
    expect(changed).not.toBe(original);
    await client.query(changed);
  });
}

async function recordStatementWaits(databaseUrl: string): Promise<void> {
  await asClient(databaseUrl, async (client) => {
    await eventually(async () => {
      const { rowCount } = await client.query(
        `select from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'`,
      );
      return rowCount === 1;
    });
  });
}

async function asClient(databaseUrl: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await work(client);
  await client.end();
}
