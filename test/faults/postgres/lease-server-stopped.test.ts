/** Postgres itself stops, crashes or does not finish a COMMIT while attempts of lease mode run. */

import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type PostgresServer, startPostgres } from '../../support/postgres-server.ts';
import { deferred, eventually } from '../../support/signal.ts';
import {
  done,
  expectOneOutcome,
  type LeaseEvents,
  type LeaseService,
  openRecords,
  outcomeOf,
  type Records,
  shortLease,
  shortTimeouts,
  startLeaseService,
  transferUntil,
  watchLeases,
} from '../lease-case.ts';

let postgres: PostgresServer;
let service: LeaseService;
let records: Records;
let events: LeaseEvents;

beforeAll(async () => {
  // What is not flushed by its own COMMIT is not flushed by chance.
  postgres = await startPostgres({ settings: { wal_writer_delay: '10s' } });
  service = await startLeaseService({
    databaseUrl: postgres.url,
    // Long enough for a restart.
    options: { ...shortTimeouts, migrate: true, lease: 20_000, renewInterval: 400, probeTimeout: 15_000 },
  });
  records = await openRecords(postgres.url);
});

beforeEach(async () => {
  events = watchLeases();
  service.resolveWith();
  await transferUntil(service, 'warm', 'replayed');
});

afterEach(() => events.close());

afterAll(async () => {
  await service.stop();
  await records.close();
  await postgres.remove();
});

/** Starts a transfer whose resolver waits; resolves when it does. */
async function start(
  key: string,
  field: 'transfer' | 'transferAgain' = 'transfer',
): Promise<{ signal: AbortSignal; go: () => void; reply: ReturnType<LeaseService['transfer']> }> {
  const inside = deferred<AbortSignal>();
  const gate = deferred();
  service.resolveWith(async (call) => {
    inside.resolve(call.signal);
    await gate.promise;
    return done(call);
  });
  const reply = service.transfer(key, field);
  const signal = await inside.promise;
  service.resolveWith();
  return { signal, go: gate.resolve, reply };
}

async function restart(settings?: Record<string, string>): Promise<void> {
  await postgres.start(settings);
  await records.close();
  records = await openRecords(postgres.url);
}

describe.each(['fast', 'immediate'] as const)('a stop of mode %s', (mode) => {
  it('in the middle of a resolver, and a start in time, cost the attempt nothing', async () => {
    const key = `stop-${mode}`;
    const { signal, go, reply } = await start(key);
    await postgres.stop(mode);
    await eventually(() => events.count(key, 'renewal-failed') > 0);
    // While it is down, nothing new runs.
    const refused = await service.transfer(`down-${mode}`);
    expect([refused.status, refused.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
    expect(JSON.stringify(refused.body)).not.toMatch(/ECONNREFUSED|127\.0\.0\.1/);
    expect(service.attempts(`down-${mode}`)).toEqual([]);
    await restart();
    await eventually(() => events.of(key).at(-1) === 'renewed');
    expect(signal.aborted).toBe(false);
    go();
    expect(outcomeOf(await reply)).toBe('executed');
    await expectOneOutcome(service, records, key);
    expect(service.attempts(key)).toEqual([1]);
  });

  it('right before the completion is waited out', async () => {
    const key = `before-completion-${mode}`;
    const { go, reply } = await start(key);
    await postgres.stop(mode);
    go();
    await restart();
    expect(outcomeOf(await reply)).toBe('executed');
    await expectOneOutcome(service, records, key);
  });
});

it('kill -9 of one backend drops them all, and the attempt completes after the recovery', async () => {
  const { go, reply } = await start('backend-killed');
  const { rows } = await records.client.query<{ pid: number }>(
    'select pid from pg_stat_activity where pid <> pg_backend_pid() and datname is not null limit 1',
  );
  process.kill(rows[0]!.pid, 'SIGKILL');
  const before = events.count('backend-killed', 'renewed');
  await eventually(() => events.count('backend-killed', 'renewed') >= before + 2);
  go();
  expect(outcomeOf(await reply)).toBe('executed');
  await records.close();
  records = await openRecords(postgres.url);
  await expectOneOutcome(service, records, 'backend-killed');
});

describe('with synchronous_commit = off as the default', () => {
  beforeAll(() => configure('alter database postgres set synchronous_commit = off'));
  afterAll(() => configure('alter database postgres reset synchronous_commit'));

  it('a crash forgets no claim, no takeover and no completion that was answered', async () => {
    const quick = await startLeaseService({ databaseUrl: postgres.url, options: shortLease });
    const ran = [deferred(), deferred()] as const;
    const gate = deferred();
    quick.resolveWith(async (call) => {
      ran[call.attempt - 1]!.resolve();
      if (call.key === 'forgets') await gate.promise;
      return done(call);
    });
    const first = quick.transfer('forgets', 'transferAgain');
    await ran[0].promise;
    await crash();
    expect(await records.of('forgets')).toMatchObject({ state: 'pending', attempt: 1 });
    // As if its process had died: another one takes over.
    await records.client.query(
      `update graphql_idempotency.record set fence = 1, lease_until = clock_timestamp() where state = 'pending'`,
    );
    expect(outcomeOf(await first)).toBe('IDEMPOTENCY_LEASE_LOST');
    const second = quick.transfer('forgets', 'transferAgain');
    await ran[1].promise;
    await crash();
    expect(await records.of('forgets')).toMatchObject({ state: 'pending', attempt: 2 });
    gate.resolve();
    expect(outcomeOf(await second)).toBe('executed');
    await crash();
    await transferUntil(quick, 'forgets', 'replayed', { field: 'transferAgain' });
    await quick.stop();
  });

  it('a crash forgets no step: a later attempt does not run it again', async () => {
    const runs: number[] = [];
    service.resolveWith(async (call) => {
      await call.step('send', () => runs.push(call.attempt));
      if (call.attempt === 1) {
        await crash();
        throw new Error('who knows');
      }
      return done(call);
    });
    expect(outcomeOf(await service.transfer('step', 'transferAgain'))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(outcomeOf(await service.transfer('step', 'transferAgain'))).toBe('executed');
    expect(runs).toEqual([1]);
  });

  async function crash(): Promise<void> {
    await postgres.stop('immediate');
    await restart();
  }
});

describe('a synchronous standby that is not there', () => {
  const missing = `alter system set synchronous_standby_names = 'nobody'`;
  const present = 'alter system reset synchronous_standby_names';

  it('keeps a claim from running; given up when it commits, it leaves the key new', async () => {
    await standbyGone();
    const reply = await service.transfer('claim-hangs');
    expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
    // It holds the lock and is not visible: a retry neither executes nor is told that nobody knows.
    expect(outcomeOf(await service.transfer('claim-hangs'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    expect(service.attempts('claim-hangs')).toEqual([]);
    await configure(present);
    await transferUntil(service, 'claim-hangs', 'executed', { timeoutMs: 10_000 });
    expect(service.attempts('claim-hangs')).toEqual([1]);
  });

  it('is waited for by a completion; what is durable already replays meanwhile', async () => {
    const { go, reply } = await start('completion-waits');
    await standbyGone();
    go();
    await waiting('complete_lease');
    expect(outcomeOf(await service.transfer('warm'))).toBe('replayed');
    expect(outcomeOf(await service.transfer('completion-waits'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    await configure(present);
    expect(outcomeOf(await reply)).toBe('executed');
    await expectOneOutcome(service, records, 'completion-waits');
  });

  it('leaves a completion OUTCOME_UNKNOWN when it takes too long; then the retry replays', async () => {
    const impatient = await startLeaseService({
      databaseUrl: postgres.url,
      options: { ...shortTimeouts, probeTimeout: 300 },
    });
    impatient.resolveWith(async (call) => {
      await standbyGone();
      return done(call);
    });
    const reply = await impatient.transfer('too-long');
    expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_OUTCOME_UNKNOWN']);
    for (const one of [impatient, service]) {
      expect(outcomeOf(await one.transfer('too-long'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    }
    await configure(present);
    await transferUntil(impatient, 'too-long', 'replayed');
    expect([...impatient.attempts('too-long'), ...service.attempts('too-long')]).toEqual([1]);
    await impatient.stop();
  });

  beforeAll(() => configure('create table touched ()'));

  afterEach(() => configure(present));

  /** Postgres begins to wait for it some time after it was told to: when a COMMIT waits. */
  async function standbyGone(): Promise<void> {
    await configure(missing);
    await eventually(async () => {
      const client = new pg.Client({ connectionString: postgres.url });
      client.on('error', () => {});
      await client.connect();
      const touched = client.query('insert into touched default values').then(() => 'committed');
      const ended = touched.finally(() => client.end());
      ended.catch(() => {});
      return (await Promise.race([touched, waiting('touched').then(() => 'waits')])) === 'waits';
    });
  }

  function waiting(query: string): Promise<unknown> {
    return eventually(async () => {
      const { rowCount } = await records.client.query(
        `select from pg_stat_activity where wait_event = 'SyncRep' and query ~ $1`,
        [query],
      );
      return rowCount! > 0;
    });
  }
});

async function configure(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query('set synchronous_commit = local');
  await client.query(sql);
  await client.query('select pg_reload_conf()');
  await client.end();
}
