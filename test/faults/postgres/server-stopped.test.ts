/** Postgres itself stops, crashes or does not finish a COMMIT: calls fail in time, and retries get through. */

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { type PostgresServer, startPostgres } from '../../support/postgres-server.ts';
import { type PayCall, type Service, startService } from '../../support/service.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { expectOnePayment, outcomeOf, pay, shortTimeouts } from './retries.ts';

let postgres: PostgresServer;
let proxy: PostgresProxy;
let service: Service;
let resolver: (call: PayCall) => unknown;
const insertOnly = ({ insert }: PayCall): unknown => insert();

beforeAll(async () => {
  postgres = await startPostgres();
  proxy = await startPostgresProxy({ target: postgres.url });
  service = await startService({
    databaseUrl: postgres.url,
    // Long enough for a restart.
    options: { ...shortTimeouts, postgres: proxy.url, probeTimeout: 15_000 },
    pay: (call) => resolver(call),
  });
});

beforeEach(async () => {
  await proxy.healAll();
  resolver = insertOnly;
});

afterAll(async () => {
  await service.stop();
  await proxy.close();
  await postgres.remove();
});

/** Starts a payment whose resolver has inserted and waits for ever; resolves with what the call will answer. */
async function payAndStay(key: string): Promise<{ reply: ReturnType<typeof pay>; pid: number }> {
  const inside = deferred<number>();
  resolver = async ({ tx, insert }) => {
    await insert();
    const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
    inside.resolve(rows[0]!.pid);
    return new Promise(() => {});
  };
  const reply = pay(service, key);
  const pid = await inside.promise;
  resolver = insertOnly;
  return { reply, pid };
}

describe.each(['fast', 'immediate'] as const)('a stop of mode %s', (mode) => {
  it('in the middle of a resolver is TRANSACTION_ABORTED; while it is down nothing runs; then the retry executes', async () => {
    const key = `stopped-${mode}`;
    const { reply } = await payAndStay(key);
    const stopping = postgres.stop(mode);
    expect(outcomeOf(await reply)).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    await stopping;
    const runs = service.runs();
    const refused = await pay(service, key);
    expect([refused.status, refused.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
    expect(refused.headers.get('retry-after')).not.toBeNull();
    expect(JSON.stringify(refused.body)).not.toMatch(/ECONNREFUSED|127\.0\.0\.1/);
    expect(service.runs()).toBe(runs);
    await postgres.start();
    await expectOnePayment(service, key, 'executed');
  });
});

it('a crash right after COMMIT, before its answer, is found out when Postgres is back: the first answer', async () => {
  const held = proxy.on({ from: 'server', tag: 'COMMIT' }, 'hold');
  const reply = pay(service, 'crash-after-commit');
  await held.matched;
  await postgres.stop('immediate');
  const starting = postgres.start();
  expect(outcomeOf(await reply)).toBe('replayed');
  await starting;
  await expectOnePayment(service, 'crash-after-commit', 'replayed');
});

it('a crash with the COMMIT on its way, for longer than the probe lasts, is OUTCOME_UNKNOWN; the retry executes', async () => {
  const impatient = await startService({
    databaseUrl: postgres.url,
    options: { ...shortTimeouts, postgres: proxy.url, probeTimeout: 200 },
  });
  const held = proxy.on({ from: 'client', sql: /\bcommit$/ }, 'hold');
  const reply = pay(impatient, 'crash-before-commit');
  await held.matched;
  await postgres.stop('immediate');
  expect(outcomeOf(await reply)).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  await postgres.start();
  held.release();
  await expectOnePayment(impatient, 'crash-before-commit', 'executed');
  await impatient.stop();
});

it('kill -9 of one backend drops them all: TRANSACTION_ABORTED, and the retry executes after the recovery', async () => {
  const { reply, pid } = await payAndStay('backend-killed');
  const bystander = await payAndStay('bystander');
  process.kill(pid, 'SIGKILL');
  expect(outcomeOf(await reply)).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  expect(outcomeOf(await bystander.reply)).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  await untilServed('recovered');
  await expectOnePayment(service, 'backend-killed', 'executed');
  await expectOnePayment(service, 'bystander', 'executed');
});

it('a COMMIT that waits for a synchronous standby that never comes is OUTCOME_UNKNOWN, then replays', async () => {
  const impatient = await startService({
    databaseUrl: postgres.url,
    options: { ...shortTimeouts, probeTimeout: 500 },
  });
  await expectOnePayment(impatient, 'before-nobody', 'executed');
  await configure(`alter system set synchronous_standby_names = 'nobody'`);
  await untilCommitsWait();
  const reply = await pay(impatient, 'nobody');
  expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_OUTCOME_UNKNOWN']);
  // It has the lock and is not visible: the retry neither executes nor replays.
  expect(outcomeOf(await pay(impatient, 'nobody'))).toBe('IDEMPOTENCY_IN_PROGRESS');
  expect(outcomeOf(await pay(service, 'nobody'))).toBe('IDEMPOTENCY_IN_PROGRESS');
  // What is durable already is replayed meanwhile.
  expect(outcomeOf(await pay(service, 'before-nobody'))).toBe('replayed');
  await configure('alter system reset synchronous_standby_names');
  await expectOnePayment(service, 'nobody', 'replayed');
  await impatient.stop();
});

async function untilServed(key: string): Promise<void> {
  await eventually(async () => /executed|replayed/.test(outcomeOf(await pay(service, key))!));
}

/** A new configuration reaches a server's processes one by one. */
async function untilCommitsWait(): Promise<void> {
  const [writer, watcher] = [0, 1].map(() => new pg.Client({ connectionString: postgres.url })) as [
    pg.Client,
    pg.Client,
  ];
  await Promise.all([writer.connect(), watcher.connect()]);
  const { rows } = await writer.query<{ pid: number }>('select pg_backend_pid() as pid');
  const { pid } = rows[0]!;
  const waits = async (): Promise<boolean> => {
    const { rowCount } = await watcher.query(
      `select from pg_stat_activity where pid = $1 and wait_event = 'SyncRep'`,
      [pid],
    );
    return rowCount === 1;
  };
  await eventually(async () => {
    let committed = false;
    const commit = writer.query(`select pg_logical_emit_message(true, 'test', 'commits')`);
    void commit.then(() => (committed = true));
    await eventually(async () => committed || (await waits()));
    const waited = !committed;
    // Only its wait is ended by that.
    if (waited) await watcher.query('select pg_cancel_backend($1)', [pid]);
    await commit;
    return waited;
  });
  await Promise.all([writer.end(), watcher.end()]);
}

async function configure(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(sql);
  await client.query('select pg_reload_conf()');
  await client.end();
}
