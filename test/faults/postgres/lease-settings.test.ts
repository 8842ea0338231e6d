/** Whatever a database sets by default, and whichever session a statement reaches, lease mode works the same. */

import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import { deferred, eventually } from '../../support/signal.ts';
import {
  done,
  expectOneOutcome,
  identityOfKey,
  type LeaseService,
  openRecords,
  outcomeOf,
  type Records,
  shortLease,
  shortTimeouts,
  startLeaseService,
  type TransferField,
  transferUntil,
  watchLeases,
} from '../lease-case.ts';

let database: TestDatabase;
let records: Records;

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  records = await openRecords(database.url);
});

afterAll(async () => {
  await records.close();
  await database.drop();
});

/** One of everything: a first call with both kinds of steps, renewals, a replay, a rerun, a release, a takeover race. */
async function everything(service: LeaseService, other: LeaseService, prefix: string): Promise<void> {
  const events = watchLeases();
  const key = (name: string): string => `${prefix}-${name}`;
  const inTwoSteps: Parameters<LeaseService['resolveWith']>[0] = async (call) => {
    await call.step('send', () => 1);
    await call.step.transaction('book', (tx) =>
      tx.query('insert into public.payments (amount, note) values (1, $1)', [call.key]),
    );
    if (call.attempt === 1) {
      await eventually(() => events.count(call.key, 'renewed') >= 2);
      if (call.key.endsWith('again')) throw new Error('who knows');
    }
    return done(call);
  };
  service.resolveWith(inTwoSteps);
  other.resolveWith(inTwoSteps);
  expect(outcomeOf(await service.transfer(key('first')))).toBe('executed');
  await expectOneOutcome(service, records, key('first'));
  expect(outcomeOf(await service.transfer(key('again'), 'transferAgain'))).toBe(
    'IDEMPOTENCY_OUTCOME_UNKNOWN',
  );
  const retries = await Promise.all(
    [service, other, service, other].map((one) => one.transfer(key('again'), 'transferAgain')),
  );
  expect(retries.map(outcomeOf).filter((outcome) => outcome === 'executed')).toHaveLength(1);
  expect(retries.map(({ status }) => status).filter((status) => ![200, 409].includes(status))).toEqual([]);
  await expectOneOutcome(service, records, key('again'), { attempt: 2, field: 'transferAgain' });
  const notes = (await service.payments()).map(({ note }) => note).filter((note) => note?.startsWith(prefix));
  expect(notes).toEqual([key('first'), key('again')]);
  events.close();
}

const defaults = [
  ['default_transaction_isolation', 'serializable'],
  ['default_transaction_isolation', 'repeatable read'],
  ['default_transaction_read_only', 'on'],
  ['statement_timeout', '400ms'],
  ['idle_in_transaction_session_timeout', '200ms'],
  ['lock_timeout', '1ms'],
  ['synchronous_commit', 'off'],
  ['search_path', 'nowhere'],
  ['timezone', 'Asia/Kathmandu'],
  ['datestyle', 'SQL, DMY'],
  ['bytea_output', 'escape'],
  ['enable_indexscan', 'off'],
] as const;

describe('a database with another default of', () => {
  it.each(defaults)('%s (%s)', async (name, value) => {
    const fresh = `${name}-${value}`.replaceAll(/\W/g, '-');
    const setDefault = (sql: string): Promise<unknown> =>
      records.client.query(
        `do $$ begin execute format('alter database %I ${sql}', current_database()); end $$`,
      );
    const start = (): Promise<LeaseService> =>
      startLeaseService({
        // The test's own statements are not what is tested.
        databaseUrl: withDefaults(database.url),
        options: { ...shortTimeouts, renewInterval: 30, postgres: database.url },
      });
    await setDefault(`set ${name} = ''${value}''`);
    try {
      const services = [await start(), await start()] as const;
      await everything(services[0], services[1], fresh);
      await Promise.all(services.map((service) => service.stop()));
    } finally {
      await setDefault(`reset ${name}`);
    }
  });
});

function withDefaults(url: string): string {
  const own = '-c search_path=public -c default_transaction_read_only=off';
  return `${url}?options=${encodeURIComponent(own)}`;
}

describe('the sessions that lease mode uses', () => {
  it('may be others for every statement, and keep nothing of it', async () => {
    const proxy = await startPostgresProxy({ target: database.url });
    const service = await startLeaseService({
      databaseUrl: database.url,
      options: { ...shortTimeouts, renewInterval: 30, postgres: proxy.url },
    });
    const other = await startLeaseService({ databaseUrl: database.url, options: shortTimeouts });
    await everything(service, other, 'any-session');
    for (const statement of proxy.counts().statements) {
      expect(statement).not.toMatch(
        /\b(?:listen|notify|deallocate|declare|temp|temporary)\b|^set (?!local)|pg_(?:try_)?advisory_lock\b/i,
      );
    }
    const left = await records.client.query(
      `select from pg_locks join pg_stat_activity using (pid)
      where datname = current_database() and locktype = 'advisory' and pid <> pg_backend_pid()`,
    );
    expect(left.rowCount).toBe(0);
    await service.stop();
    await other.stop();
    await proxy.close();
  });

  it('may be exchanged between any two of its transactions, as a pooler does', async () => {
    const pool = new pg.Pool({ connectionString: database.url, max: 3 });
    pool.on('error', () => {});
    // What a pooler in transaction mode would leave of a session: nothing.
    const exchange = (client: pg.PoolClient): void => void client.query('discard all').catch(() => {});
    pool.on('acquire', exchange);
    const service = await startLeaseService({
      databaseUrl: database.url,
      options: { ...shortTimeouts, renewInterval: 30, postgres: pool },
    });
    const other = await startLeaseService({
      databaseUrl: database.url,
      options: { ...shortTimeouts, renewInterval: 30, postgres: pool },
    });
    await everything(service, other, 'exchanged');
    expect(service.log.filter(({ level }) => level === 'error')).toEqual([]);
    await service.stop();
    await other.stop();
    await pool.end();
  });
});

describe('the clock of the process', () => {
  afterEach(() => vi.useRealTimers());

  it.each([-3_600_000, 3_600_000])('that is %i ms off decides nothing', async (offsetMs) => {
    const service = await startLeaseService({ databaseUrl: database.url, options: shortLease });
    const right = await startLeaseService({ databaseUrl: database.url, options: shortLease });
    const key = `clock-${offsetMs}`;
    const events = watchLeases();
    const gate = deferred();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + offsetMs });
    const waiting: Parameters<LeaseService['resolveWith']>[0] = async (call) => {
      await gate.promise;
      return done(call);
    };
    service.resolveWith(waiting);
    const reply = service.transfer(key, 'transferAgain');
    await eventually(() => events.count(key, 'renewed') >= 4);
    // A lease that is alive is alive for everybody.
    expect(outcomeOf(await right.transfer(key, 'transferAgain'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    gate.resolve();
    expect(outcomeOf(await reply)).toBe('executed');
    await expectOneOutcome(service, records, key, { field: 'transferAgain' });
    // And one that has lapsed is taken over.
    await lapse(service, `${key}-lapsed`, 'transferAgain');
    await transferUntil(service, `${key}-lapsed`, 'executed', { field: 'transferAgain' });
    expect(service.attempts(`${key}-lapsed`)).toEqual([1, 2]);
    events.close();
    await service.stop();
    await right.stop();
  });
});

describe('a sweeper that never rests', () => {
  it('sweeps nothing that is pending or unknown, however old', async () => {
    const service = await startLeaseService({
      databaseUrl: database.url,
      options: { ...shortLease, ttl: 10_100, sweepInterval: 1 },
    });
    const gate = deferred();
    service.resolveWith(async (call) => {
      if (call.key === 'swept-unknown') throw new Error('who knows');
      if (call.key === 'swept-pending') await gate.promise;
      return done(call);
    });
    const reply = service.transfer('swept-pending');
    expect(outcomeOf(await service.transfer('swept-unknown'))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    await service.transfer('swept-completed');
    await lapse(service, 'swept-lapsed', 'transfer');
    await eventually(() => service.attempts('swept-pending').length === 1);
    await records.client.query(
      `update graphql_idempotency.record set
        abandoned_at = abandoned_at - interval '1 year', lease_until = lease_until - interval '1 year',
        completed_at = completed_at - interval '1 year', expires_at = expires_at - interval '1 year',
        takeover_after = takeover_after - interval '1 year', sweep_after = sweep_after - interval '1 year'
      where state <> 'pending' or fence = 1`,
    );
    await eventually(async () => (await records.of('swept-completed')) === undefined);
    expect(await records.of('swept-unknown')).toMatchObject({ state: 'unknown' });
    expect(await records.of('swept-lapsed')).toMatchObject({ state: 'pending', lapsed: true });
    gate.resolve();
    expect(outcomeOf(await reply)).toBe('executed');
    await expectOneOutcome(service, records, 'swept-pending');
    for (const key of ['swept-unknown', 'swept-lapsed']) {
      expect(outcomeOf(await service.transfer(key))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    }
    await service.stop();
  });
});

/** Leaves a record of an attempt whose process is gone and whose lease is over. */
async function lapse(service: LeaseService, key: string, field: TransferField): Promise<void> {
  // The same note: the same arguments.
  const query = `mutation ($note: String!) { transfer: ${field}(note: $note) }`;
  await service.send({ key: `${key}-model`, query, variables: { note: key } });
  await records.client.query(
    `insert into graphql_idempotency.record (lease_until, fence, mode, state, fingerprint_version, identity,
      scope_hash, fingerprint, coordinate, ttl_ms, tombstone_ttl_ms)
    select clock_timestamp(), 1, 'lease', 'pending', fingerprint_version, $1, scope_hash, fingerprint, coordinate, 100000, 0
    from graphql_idempotency.record where identity = $2`,
    [identityOfKey(key), identityOfKey(`${key}-model`)],
  );
}
