/** A network that loses everything and says nothing: every wait ends, and no late answer reaches anybody. */

import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { type PayCall, type Service, startService } from '../../support/service.ts';
import { deferred } from '../../support/signal.ts';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from './retries.ts';

let database: TestDatabase;
let proxy: PostgresProxy;
let pool: pg.Pool;
/** Behind the proxy. */
let partitioned: Service;
/** In another process, as far as Postgres can tell. */
let other: Service;
let resolver: (call: PayCall) => unknown = ({ insert }) => insert();

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  proxy = await startPostgresProxy({ target: database.url });
  pool = new pg.Pool({ connectionString: proxy.url, max: 1 });
  pool.on('error', () => {});
  const timeouts = { ...shortTimeouts, migrate: false };
  partitioned = await startService({
    databaseUrl: database.url,
    options: { ...timeouts, postgres: pool, transactionTimeout: 2000 },
    pay: (call) => resolver(call),
  });
  other = await startService({ databaseUrl: database.url, options: timeouts });
});

afterEach(async () => {
  resolver = ({ insert }) => insert();
  await proxy.healAll();
});

afterAll(async () => {
  await partitioned.stop();
  await other.stop();
  await pool.end();
  await proxy.close();
  await database.drop();
});

describe('a partition in the middle of a transaction', () => {
  it('ends on both sides by the transaction’s timeout: 409 until then, and the retry executes', async () => {
    const inside = deferred();
    const healed = deferred();
    const zombie = deferred<unknown>();
    resolver = async ({ tx, insert }) => {
      const payment = await insert();
      inside.resolve();
      await healed.promise;
      zombie.resolve(await tx.query('select 1').catch((error: unknown) => error));
      return payment;
    };
    const reply = pay(partitioned, 'partition');
    await inside.promise;
    proxy.partition();
    expect(outcomeOf(await pay(other, 'partition'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    // Nobody on either side hears of the other.
    expect(outcomeOf(await reply)).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    await expectOnePayment(other, 'partition', 'executed', { timeoutMs: 10_000 });
    await proxy.healAll();
    healed.resolve();
    expect(await zombie.promise).toMatchObject({ message: expect.stringMatching(/over/) });
    await expectOnePayment(partitioned, 'partition', 'replayed');
  });

  it('that swallows the answer to a query ends the attempt, though its resolver waits for ever', async () => {
    resolver = async ({ tx, insert }) => {
      await insert();
      proxy.on({ from: 'server', type: 'DataRow' }, 'hold');
      return tx.query('select 42 as answer');
    };
    expect(outcomeOf(await pay(partitioned, 'no-answer'))).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    expect(await paidFor(other, 'no-answer')).toBe(0);
    resolver = ({ insert }) => insert();
    await expectOnePayment(partitioned, 'no-answer', 'executed');
  });
});

describe('a record and COMMIT that are held up', () => {
  it('until Postgres has ended their session change nothing when they arrive', async () => {
    const held = proxy.on({ from: 'client', type: 'Query', sql: /\bcommit$/ }, 'hold');
    expect(outcomeOf(await pay(partitioned, 'held-up'))).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    await expectOnePayment(other, 'held-up', 'executed', { timeoutMs: 10_000 });
    held.release();
    await expectOnePayment(partitioned, 'held-up', 'replayed');
  });
});

describe('a claim without an answer', () => {
  it.each(['request', 'answer'] as const)(
    '(the %s is lost) runs nothing, and its connection is never used again',
    async (lost) => {
      const key = `claim-${lost}`;
      await pay(partitioned, 'warm');
      const runs = partitioned.runs();
      const held = proxy.on(
        lost === 'request'
          ? { from: 'client', type: 'Query', sql: /^begin/ }
          : { from: 'server', type: 'CommandComplete', tag: 'BEGIN' },
        'hold',
      );
      const removed = new Promise((resolve) => pool.once('remove', resolve));
      const reply = await pay(partitioned, key);
      expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
      expect(partitioned.runs()).toBe(runs);
      await removed;
      // The next call of the only connection gets its own answers, not the late ones.
      await expectOnePayment(partitioned, `${key}-next`, 'executed');
      const late = proxy.on({ from: 'server', tag: 'BEGIN' }, 'observe');
      held.release();
      if (lost === 'request') await late.matched;
      await expectOnePayment(partitioned, key, 'executed');
    },
  );
});

describe('a partition while nothing is under way', () => {
  it('fails calls within their deadlines, and heals without a restart', async () => {
    await pay(partitioned, 'warm');
    proxy.partition();
    const runs = partitioned.runs();
    const started = performance.now();
    for (const key of ['idle-1', 'idle-2', 'idle-3']) {
      expect(outcomeOf(await pay(partitioned, key))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    }
    expect(performance.now() - started).toBeLessThan(3 * 5000);
    expect(partitioned.runs()).toBe(runs);
    await proxy.healAll();
    await expectOnePayment(partitioned, 'idle-1', 'executed');
  });
});
