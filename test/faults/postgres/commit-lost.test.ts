/** COMMIT without an answer: what became of it is found out before the client is told anything. */

import pg from 'pg';
import { FinalError } from 'graphql-idempotency';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { MessageMatch } from '../../support/proxy-rules.ts';
import { type PayCall, type Service, type ServiceOptions, startService } from '../../support/service.ts';
import { eventually } from '../../support/signal.ts';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from './retries.ts';
import { type SlowCommits, slowCommits } from './slow-commits.ts';

const RECORD_AND_COMMIT: MessageMatch = { from: 'client', type: 'Query', sql: /\.complete\([^]*\bcommit$/ };
const COMMITTED: MessageMatch = { from: 'server', tag: 'COMMIT' };

let database: TestDatabase;
let proxy: PostgresProxy;
let service: Service;
let direct: pg.Client;
let slow: SlowCommits;
let resolver: (call: PayCall) => unknown = ({ insert }) => insert();

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  proxy = await startPostgresProxy({ target: database.url });
  direct = new pg.Client({ connectionString: database.url });
  await direct.connect();
  service = await startService({
    databaseUrl: database.url,
    options: { ...shortTimeouts, postgres: proxy.url, migrate: false },
    pay: (call) => resolver(call),
  });
  slow = await slowCommits(database.url);
});

beforeEach(async () => {
  resolver = ({ insert }) => insert();
  // Its connections exist before a test makes rules for messages.
  await pay(service, 'warm');
});

afterEach(async () => {
  await proxy.healAll();
  await slow.release();
});

afterAll(async () => {
  await service.stop();
  await slow.close();
  await direct.end();
  await proxy.close();
  await database.drop();
});

describe('the COMMIT that Postgres got', () => {
  it('is answered by the replay when the connection breaks before its answer', async () => {
    proxy.on(COMMITTED, 'cut-before');
    const reply = await pay(service, 'answer-cut');
    expect(outcomeOf(reply)).toBe('replayed');
    expect(reply.headers.get('idempotent-replayed')).toBe('true');
    expect(reply.body.data.pay).toMatchObject({ amount: 100, note: 'answer-cut' });
    await expectOnePayment(service, 'answer-cut', 'replayed');
  });

  it('is answered by the replay when its answer never comes', async () => {
    const held = proxy.on(COMMITTED, 'hold');
    expect(outcomeOf(await pay(service, 'answer-held'))).toBe('replayed');
    await expectOnePayment(service, 'answer-held', 'replayed');
    // The answer comes in the end, and nobody takes it for one of their own.
    held.release();
    await expectOnePayment(service, 'after-answer-held', 'executed');
  });

  it('is waited for while it is under way', async () => {
    resolver = withoutConnectionCheck;
    await slow.hold();
    const reply = pay(service, 'under-way');
    await slow.reached();
    proxy.cut();
    await blockedByTransaction();
    expect(await paidFor(service, 'under-way')).toBe(0);
    await slow.release();
    expect(outcomeOf(await reply)).toBe('replayed');
    await expectOnePayment(service, 'under-way', 'replayed');
  });

  it('keeps nobody from a connection while it is waited for', async () => {
    resolver = withoutConnectionCheck;
    const single = await impatientService({ poolSize: 1, probeTimeout: 4000 });
    await slow.hold();
    const reply = pay(single, 'takes-none');
    await slow.reached();
    proxy.cut();
    await blockedByTransaction();
    expect(outcomeOf(await pay(single, 'warm'))).toBe('replayed');
    await slow.release();
    expect(outcomeOf(await reply)).toBe('replayed');
    await single.stop();
  });

  it('is not known when it is still under way at the deadline; a retry is told to wait, then replays', async () => {
    resolver = withoutConnectionCheck;
    await slow.hold();
    const impatient = await impatientService();
    const answered = pay(impatient, 'too-long');
    await slow.reached();
    proxy.cut();
    const reply = await answered;
    expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_OUTCOME_UNKNOWN']);
    expect(reply.body.errors[0].extensions).toMatchObject({ retryable: true });
    expect(outcomeOf(await pay(impatient, 'too-long'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    expect(outcomeOf(await pay(service, 'too-long'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    await slow.release();
    await expectOnePayment(service, 'too-long', 'replayed');
    await impatient.stop();
  });

  it('is not known while Postgres cannot be reached; the retry replays', async () => {
    const held = proxy.on(COMMITTED, 'hold');
    const impatient = await impatientService();
    const reply = pay(impatient, 'unreachable');
    await held.matched;
    proxy.partition();
    expect((await reply).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect((await pay(impatient, 'unreachable')).code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    await proxy.healAll();
    await expectOnePayment(impatient, 'unreachable', 'replayed');
    await impatient.stop();
  });

  it('of a final error is answered by that error', async () => {
    resolver = async ({ insert }) => {
      await insert();
      throw new FinalError('card declined', { extensions: { code: 'DECLINED' } });
    };
    proxy.on(COMMITTED, 'cut-before');
    expect((await pay(service, 'declined')).code).toBe('DECLINED');
    expect((await pay(service, 'declined')).code).toBe('DECLINED');
    expect(await paidFor(service, 'declined')).toBe(0);
  });
});

describe('the COMMIT that Postgres never got', () => {
  it('is TRANSACTION_ABORTED, retryable with the same key, which then executes', async () => {
    proxy.on(RECORD_AND_COMMIT, 'cut-before');
    const reply = await pay(service, 'cut-before');
    expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_TRANSACTION_ABORTED']);
    expect(reply.body.errors[0].extensions.retryable).toBe(true);
    expect(reply.headers.get('retry-after')).not.toBeNull();
    expect(await paidFor(service, 'cut-before')).toBe(0);
    await expectOnePayment(service, 'cut-before', 'executed');
  });

  it('is not known while Postgres cannot be reached; the retry executes', async () => {
    const held = proxy.on(RECORD_AND_COMMIT, 'cut-before');
    const impatient = await impatientService();
    const reply = pay(impatient, 'never-got');
    await held.matched;
    await proxy.refuse();
    proxy.cut();
    expect((await reply).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    await proxy.healAll();
    await expectOnePayment(impatient, 'never-got', 'executed');
    await impatient.stop();
  });

  it('of a final error is TRANSACTION_ABORTED, never the final error', async () => {
    resolver = () => {
      throw new FinalError('card declined', { extensions: { code: 'DECLINED' } });
    };
    proxy.on(RECORD_AND_COMMIT, 'cut-before');
    expect((await pay(service, 'not-declined')).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    resolver = ({ insert }) => insert();
    await expectOnePayment(service, 'not-declined', 'executed');
  });
});

it('a COMMIT under way whose backend dies has not happened: TRANSACTION_ABORTED, and the retry executes', async () => {
  await slow.hold();
  const reply = pay(service, 'backend-dies');
  await slow.reached();
  await direct.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ~ 'commit$' and state = 'active'`,
  );
  expect((await reply).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  await slow.release();
  await expectOnePayment(service, 'backend-dies', 'executed');
});

/** The connection is cut under its COMMIT, which its backend must not notice. */
async function withoutConnectionCheck({ tx, insert }: PayCall): Promise<unknown> {
  await tx.query('set local client_connection_check_interval = 0');
  return insert();
}

async function impatientService(options: ServiceOptions['options'] = {}): Promise<Service> {
  return startService({
    databaseUrl: database.url,
    options: {
      ...shortTimeouts,
      postgres: proxy.url,
      migrate: false,
      probeTimeout: 600,
      ...options,
    },
    pay: (call) => resolver(call),
  });
}

/** Waits until a record statement waits for the transaction that has inserted the same record. */
async function blockedByTransaction(): Promise<void> {
  await eventually(async () => {
    const { rowCount } = await direct.query(
      `select from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'`,
    );
    return rowCount === 1;
  });
}
