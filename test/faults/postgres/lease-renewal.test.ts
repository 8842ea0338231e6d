/** Renewals that fail: they are sent again; without an answer the attempt is told in time, and the fence decides. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { deferred, eventually, within } from '../../support/signal.ts';
import {
  done,
  expectOneOutcome,
  identityOfKey,
  type LeaseEvents,
  type LeaseService,
  lose,
  losses,
  messages,
  openRecords,
  outcomeOf,
  type Records,
  shortLease,
  startLeaseService,
  type TransferCall,
  type TransferField,
  transferUntil,
  watchLeases,
} from '../lease-case.ts';

let database: TestDatabase;
let proxy: PostgresProxy;
/** With a lease that lapses soon. */
let service: LeaseService;
/** With a lease that a busy machine does not let lapse. */
let patient: LeaseService;
/** In another process, as far as Postgres can tell, and not behind the proxy. */
let other: LeaseService;
let records: Records;
let events: LeaseEvents;

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  proxy = await startPostgresProxy({ target: database.url });
  service = await startLeaseService({
    databaseUrl: database.url,
    // More than the lease, so that the deadline of a connection is not what ends a renewal in time.
    options: { ...shortLease, postgres: proxy.url, acquireTimeout: 6000 },
  });
  patient = await startLeaseService({
    databaseUrl: database.url,
    options: { ...shortLease, postgres: proxy.url, lease: 3000, renewInterval: 250 },
  });
  other = await startLeaseService({ databaseUrl: database.url, options: shortLease });
  records = await openRecords(database.url);
});

beforeEach(async () => {
  events = watchLeases();
  service.resolveWith();
  other.resolveWith();
  await service.transfer('warm');
  await patient.transfer('warm-patient');
});

afterEach(async () => {
  events.close();
  await proxy.healAll();
});

afterAll(async () => {
  await Promise.all([service, patient, other].map((one) => one.stop()));
  await records.close();
  await proxy.close();
  await database.drop();
});

/** Starts a transfer whose resolver waits; resolves when it does. */
async function start(
  key: string,
  { on = patient, field = 'transfer' }: { on?: LeaseService; field?: TransferField } = {},
): Promise<{ call: TransferCall; go: () => void; reply: ReturnType<LeaseService['transfer']> }> {
  const inside = deferred<TransferCall>();
  const gate = deferred();
  on.resolveWith(async (call) => {
    inside.resolve(call);
    await gate.promise;
    return done(call);
  });
  const reply = on.transfer(key, field);
  const call = await inside.promise;
  return { call, go: gate.resolve, reply };
}

function renewedTwice(key: string): Promise<unknown> {
  const before = events.count(key, 'renewed');
  return eventually(() => events.count(key, 'renewed') >= before + 2, { what: `two renewals of ${key}` });
}

function aborted({ signal }: TransferCall): Promise<Error> {
  return new Promise((resolve) => {
    const tell = (): void => resolve(signal.reason as Error);
    if (signal.aborted) tell();
    else signal.addEventListener('abort', tell);
  });
}

describe('a renewal', () => {
  it.each(losses)(
    'without an answer (%s) is sent again before the lease ends, and the attempt completes',
    async (loss) => {
      const key = `renewal-${loss}`;
      const lost = lose(proxy, messages.renew, loss);
      const { call, go, reply } = await start(key);
      await lost.matched;
      await renewedTwice(key);
      expect(events.count(key, 'renewal-failed')).toBeGreaterThan(0);
      expect(call.signal.aborted).toBe(false);
      go();
      expect(outcomeOf(await reply)).toBe('executed');
      expect(events.of(key)).not.toContain('lapsed');
      await expectOneOutcome(service, records, key);
    },
  );

  it('whose backend is terminated is sent again on another', async () => {
    const { go, reply } = await start('terminated');
    await renewedTwice('terminated');
    await records.client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and query ~ 'set lease_until' and pid <> pg_backend_pid()`,
    );
    await renewedTwice('terminated');
    go();
    expect(outcomeOf(await reply)).toBe('executed');
  });

  it('keeps the lease for longer than it lasts, and duplicates are in progress meanwhile', async () => {
    const started = performance.now();
    const { call, go, reply } = await start('kept', { field: 'transferAgain' });
    await eventually(() => performance.now() - started > 4000, { what: 'the end of the lease' });
    expect(outcomeOf(await other.transfer('kept', 'transferAgain'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    expect(call.signal.aborted).toBe(false);
    go();
    expect(outcomeOf(await reply)).toBe('executed');
    expect(other.attempts('kept')).toEqual([]);
  });

  it('that comes late, after the completion, changes nothing', async () => {
    const held = proxy.on(messages.renew, 'hold');
    const { go, reply } = await start('late-renewal');
    await held.matched;
    go();
    expect(outcomeOf(await reply)).toBe('executed');
    const late = proxy.on({ from: 'server', tag: 'UPDATE 0' }, 'observe');
    held.release();
    await late.matched;
    await expectOneOutcome(service, records, 'late-renewal');
  });

  it('that waits for a row which another session holds leaves no sessions behind on the server', async () => {
    const { go, reply } = await start('row-held');
    await records.client.query('begin');
    await records.client.query('select from graphql_idempotency.record where identity = $1 for update', [
      identityOfKey('row-held'),
    ]);
    await eventually(() => events.count('row-held', 'renewal-failed') >= 4);
    const { rows } = await records.client.query<{ n: number }>(
      `select count(*)::int as n from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query ~ 'set lease_until'`,
    );
    expect(rows[0]!.n).toBeLessThanOrEqual(1);
    await records.client.query('rollback');
    go();
    expect(outcomeOf(await reply)).toBe('executed');
  });
});

describe('renewals that get no answer until the lease is over', () => {
  it('abort the signal, with a reason, by the end of the lease', async () => {
    const started = performance.now();
    const { call, go, reply } = await start('lapsed', { on: service });
    proxy.partition();
    proxy.cut();
    const reason = await within(aborted(call), { what: 'the signal', timeoutMs: 5000 });
    expect(reason.message).toMatch(/lease/);
    // Long before a connection is given up, for which a renewal would have waited.
    expect(performance.now() - started).toBeLessThan(5000);
    expect(events.of('lapsed')).toContain('lapsed');
    await expect(call.step('another', () => 1)).rejects.toMatchObject({
      extensions: { code: 'IDEMPOTENCY_LEASE_LOST' },
    });
    await proxy.healAll();
    go();
    // Nobody has taken over.
    expect(outcomeOf(await reply)).toBe('executed');
  });

  it('do not hinder the completion where nobody has taken over', async () => {
    const { call, go, reply } = await start('nobody', { on: service, field: 'transferAgain' });
    proxy.partition();
    await aborted(call);
    await records.lapsed('nobody');
    go();
    await proxy.healAll();
    expect(outcomeOf(await reply)).toBe('executed');
    await expectOneOutcome(service, records, 'nobody', { field: 'transferAgain' });
  });

  it('end in LEASE_LOST where another has taken over, and its outcome stands', async () => {
    const { call, go, reply } = await start('taken', { on: service, field: 'transferAgain' });
    proxy.partition();
    await aborted(call);
    await transferUntil(other, 'taken', 'executed', { field: 'transferAgain' });
    expect(other.attempts('taken')).toEqual([2]);
    go();
    await proxy.healAll();
    const late = await reply;
    expect([late.status, late.code]).toEqual([503, 'IDEMPOTENCY_LEASE_LOST']);
    expect(late.body.errors[0].extensions.retryable).toBe(true);
    await expectOneOutcome(service, records, 'taken', { attempt: 2, field: 'transferAgain' });
  });

  it('end in LEASE_LOST at once where another is still at work, without waiting for the resolver', async () => {
    const { call, go, reply } = await start('at-work', { on: service, field: 'transferAgain' });
    const gate = deferred();
    other.resolveWith(async (its) => {
      await gate.promise;
      return done(its);
    });
    proxy.partition();
    await aborted(call);
    const winner = eventually(async () => {
      const answer = await other.transfer('at-work', 'transferAgain');
      return outcomeOf(answer) === 'IDEMPOTENCY_IN_PROGRESS' ? undefined : answer;
    });
    await eventually(() => other.attempts('at-work').length === 1);
    await proxy.healAll();
    // The resolver is still waiting.
    expect((await reply).code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect(await records.of('at-work')).toMatchObject({ state: 'pending', attempt: 2 });
    gate.resolve();
    expect(outcomeOf(await winner)).toBe('executed');
    go();
    await expectOneOutcome(service, records, 'at-work', { attempt: 2, field: 'transferAgain' });
  });
});
