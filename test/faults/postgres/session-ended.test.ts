/** Sessions that Postgres ends under an attempt: the process lives on, and the attempt ends at once. */

import { FinalError } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { type PayCall, type Service, startService } from '../../support/service.ts';
import { deferred } from '../../support/signal.ts';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from './retries.ts';

let database: TestDatabase;
let proxy: PostgresProxy;
let direct: pg.Client;
let service: Service;
let resolver: (call: PayCall) => unknown;
const insertOnly = ({ insert }: PayCall): unknown => insert();
const pidOf = async ({ tx }: PayCall): Promise<number> =>
  (await tx.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid;

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
});

afterEach(() => proxy.healAll());

afterAll(async () => {
  await service.stop();
  await direct.end();
  await proxy.close();
  await database.drop();
});

describe('a backend that is terminated', () => {
  it('ends the attempt at once, though its resolver never settles', async () => {
    const pid = deferred<number>();
    resolver = async (call) => {
      await call.insert();
      pid.resolve(await pidOf(call));
      return new Promise(() => {});
    };
    const reply = pay(service, 'never-settles');
    const terminated = await pid.promise;
    expect(outcomeOf(await pay(service, 'never-settles'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    const started = performance.now();
    await terminate(terminated);
    expect(outcomeOf(await reply)).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    expect(performance.now() - started).toBeLessThan(5000);
    resolver = insertOnly;
    await expectOnePayment(service, 'never-settles', 'executed');
  });

  it('leaves a resolver that goes on without a transaction: what it sends reaches nobody', async () => {
    const pid = deferred<number>();
    const goOn = deferred();
    const late = deferred<unknown>();
    resolver = async (call) => {
      pid.resolve(await pidOf(call));
      await goOn.promise;
      const outcome = await call.insert().catch((error: unknown) => error);
      late.resolve(outcome);
      return outcome;
    };
    const reply = pay(service, 'zombie');
    await terminate(await pid.promise);
    expect(outcomeOf(await reply)).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    resolver = insertOnly;
    await expectOnePayment(service, 'zombie', 'executed');
    goOn.resolve();
    expect(await late.promise).toBeInstanceOf(Error);
    expect(await paidFor(service, 'zombie')).toBe(1);
  });

  it.each(['thrown', 'final'])(
    'while a query runs is TRANSACTION_ABORTED, also when its error is %s',
    async (how) => {
      const pid = deferred<number>();
      resolver = async (call) => {
        await call.insert();
        pid.resolve(await pidOf(call));
        await call.tx.query('select pg_sleep(10)').catch((error: unknown) => {
          throw how === 'thrown' ? error : new FinalError('declined');
        });
      };
      const reply = pay(service, `query-${how}`);
      const terminated = await pid.promise;
      await terminate(terminated);
      expect(outcomeOf(await reply)).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
      resolver = insertOnly;
      await expectOnePayment(service, `query-${how}`, 'executed');
    },
  );

  it('while it is idle in a pool is replaced, and nobody notices', async () => {
    resolver = insertOnly;
    await expectOnePayment(service, 'idle-before', 'executed');
    await direct.query(
      `select pg_terminate_backend(pid, 5000) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and query ~ '(commit|rollback)$'`,
    );
    await expectOnePayment(service, 'idle-after', 'executed');
  });
});

describe('a transaction that is idle for too long', () => {
  it('is ended by Postgres: TRANSACTION_ABORTED, and the retry executes', async () => {
    resolver = async ({ tx, insert }) => {
      await insert();
      await tx.query('set local idle_in_transaction_session_timeout = 50');
      return new Promise(() => {});
    };
    expect(outcomeOf(await pay(service, 'idle'))).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    resolver = insertOnly;
    await expectOnePayment(service, 'idle', 'executed');
  });

  it.each(['thrown', 'final'])(
    'is TRANSACTION_ABORTED also when a query is what learns it, and its error is %s',
    async (how) => {
      const held = proxy.on({ from: 'server', where: ({ sqlState }) => sqlState === '25P03' }, 'hold');
      const asked = proxy.on({ from: 'client', sql: /too late/ }, 'observe');
      resolver = async ({ tx, insert }) => {
        await insert();
        await tx.query('set local idle_in_transaction_session_timeout = 50');
        await held.matched;
        const query = tx.query(`select 'too late'`);
        await asked.matched;
        held.release();
        await query.catch((error: unknown) => {
          throw how === 'thrown' ? error : new FinalError('declined');
        });
      };
      const reply = await pay(service, `learns-${how}`);
      expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_TRANSACTION_ABORTED']);
      resolver = insertOnly;
      await expectOnePayment(service, `learns-${how}`, 'executed');
    },
  );

  it('is ended by the library where its resolver keeps Postgres busy: transactionTimeout bounds it all', async () => {
    const bounded = await startService({
      databaseUrl: database.url,
      options: { ...shortTimeouts, migrate: false, transactionTimeout: 600 },
      pay: async ({ tx, insert }) => {
        await insert();
        for (;;) await tx.query('select pg_sleep(0.02)');
      },
    });
    expect(outcomeOf(await pay(bounded, 'busy'))).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    await expectOnePayment(service, 'busy', 'executed');
    await bounded.stop();
  });
});

async function terminate(pid: number): Promise<void> {
  await direct.query('select pg_terminate_backend($1, 5000)', [pid]);
}
