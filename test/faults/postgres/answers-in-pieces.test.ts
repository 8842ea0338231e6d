/** Postgres sends an error, and the state of the transaction after it, apart; between the two nothing is known. */

import { FinalError } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { type PayCall, type Service, startService } from '../../support/service.ts';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from './retries.ts';

describe('while the state after every error comes late', () => {
  let database: TestDatabase;
  let proxy: PostgresProxy;
  let pool: pg.Pool;
  let service: Service;
  let resolver: (call: PayCall) => unknown;

  beforeAll(async () => {
    database = await createDatabase({ migrated: true });
    proxy = await startPostgresProxy({ target: database.url });
    pool = new pg.Pool({ connectionString: proxy.url, max: 2 });
    pool.on('error', () => {});
    service = await startService({
      databaseUrl: database.url,
      options: { ...shortTimeouts, postgres: pool, migrate: false, probeTimeout: 1500 },
      pay: (call) => resolver(call),
    });
  });

  beforeEach(() => {
    resolver = ({ insert }) => insert();
    proxy.on(
      { from: 'server', type: 'ReadyForQuery', where: ({ status }) => status === 'E' },
      { delayMs: 40 },
      Infinity,
    );
  });

  afterEach(() => proxy.healAll());

  afterAll(async () => {
    await service.stop();
    await pool.end();
    await proxy.close();
    await database.drop();
  });

  it('the probe of a lost COMMIT still finds the record', async () => {
    proxy.on({ from: 'server', tag: 'COMMIT' }, 'cut-before');
    expect(outcomeOf(await pay(service, 'probe'))).toBe('replayed');
    await expectOnePayment(service, 'probe', 'replayed');
  });

  it('what Postgres cancelled is still not made final', async () => {
    resolver = async ({ tx }) => {
      await tx.query('set local statement_timeout = 20');
      await tx.query('select pg_sleep(10)').catch(() => {
        throw new FinalError('declined');
      });
    };
    expect((await pay(service, 'final')).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    resolver = ({ insert }) => insert();
    await expectOnePayment(service, 'final', 'executed');
  });

  it('an ordinary failure is rolled back without giving up the connection', async () => {
    resolver = ({ tx }) => tx.query('select 1 / 0');
    let removed = 0;
    pool.on('remove', () => (removed += 1));
    expect((await pay(service, 'ordinary')).body.errors[0].message).toBe('division by zero');
    resolver = ({ insert }) => insert();
    await expectOnePayment(service, 'ordinary', 'executed');
    expect(await paidFor(service, 'ordinary')).toBe(1);
    expect(removed).toBe(0);
  });
});
