/** The payments example's bookkeeper on Postgres: what comes twice is in its ledger once. */

import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import type { LedgerState } from '../../examples/payments/bookkeeper.ts';
import { startChild } from '../support/child.ts';
import type { Child } from '../support/child.ts';
import { createDatabase } from '../support/database.ts';
import { startRedis } from '../support/redis-server.ts';
import { eventually } from '../support/signal.ts';
import { cleanEnvironment } from './payments.ts';

const STREAM = 'payment.captured';
/** Starting takes seconds on a busy machine. */
const timeoutMs = 120_000;

let env: Record<string, string>;
let client: Client;
let broker: Redis;

beforeAll(async () => {
  const database = await createDatabase();
  const redis = await startRedis();
  env = { DATABASE_URL: database.url, BROKER_URL: redis.url };
  client = new Client({ connectionString: database.url });
  await client.connect();
  broker = new Redis(redis.url);
  return async () => {
    await client.end();
    broker.disconnect();
    await redis.remove();
  };
});

describe('the bookkeeper', () => {
  it(
    'books an event once that is in the stream several times',
    async () => {
      const { url } = await startBookkeeper();
      const [one, other] = [payment(1250), payment(300)];
      await publish(one);
      await publish(one);
      await publish(other);
      await untilConsumed();
      await publish(one);
      await untilConsumed();
      expect(await ledger(url, [one, other])).toEqual([one, other]);
    },
    timeoutMs,
  );

  it(
    'books an event once whose bookkeeper was killed in the middle, and that comes again',
    async () => {
      const first = await startBookkeeper();
      const captured = payment(700);
      // It stops when it inserts the row.
      await client.query('begin; lock table ledger in exclusive mode');
      await publish(captured);
      await eventually(
        async () => {
          const { rows } = await client.query(
            `select 1 from pg_locks where not granted and relation = 'ledger'::regclass`,
          );
          return rows.length > 0;
        },
        { what: 'the insert' },
      );
      await first.child.kill();
      await client.query('commit');
      const { url } = await startBookkeeper();
      await untilConsumed();
      expect(await ledger(url, [captured])).toEqual([captured]);
    },
    timeoutMs,
  );

  it(
    'ends at SIGTERM, and the next one goes on',
    async () => {
      const { child } = await startBookkeeper();
      expect(await child.kill('SIGTERM')).toEqual({ code: 0, signal: null });
      const captured = payment(900);
      await publish(captured);
      const { url } = await startBookkeeper();
      await untilConsumed();
      expect(await ledger(url, [captured])).toEqual([captured]);
    },
    timeoutMs,
  );

  it('says what it needs where it is not told of a broker', async () => {
    const child = startChild({
      file: 'examples/payments/bookkeeper.ts',
      env: { ...cleanEnvironment, DATABASE_URL: env['DATABASE_URL'] },
    });
    expect((await child.exited).code).toBe(1);
    expect(child.output()).toContain('Set BROKER_URL');
  });
});

interface Payment {
  readonly paymentId: string;
  readonly user: string;
  readonly amountCents: number;
}

function payment(amountCents: number): Payment {
  return { paymentId: randomUUID(), user: 'alice', amountCents };
}

async function startBookkeeper(): Promise<{ readonly url: string; readonly child: Child }> {
  const child = startChild({ file: 'examples/payments/bookkeeper.ts', env: { ...cleanEnvironment, ...env } });
  const ready = await child.line(/^ready /, { timeoutMs: 100_000 });
  return { url: ready.slice('ready '.length), child };
}

/** As the relay does. */
async function publish({ paymentId, user, amountCents }: Payment): Promise<void> {
  const payload = JSON.stringify({ id: paymentId, user, amountCents, currency: 'EUR' });
  await broker.xadd(
    STREAM,
    '*',
    ...Object.entries({
      'content-type': 'application/json',
      'event-id': paymentId,
      'event-topic': STREAM,
      'event-key': user,
      'event-payload': payload,
    }).flat(),
  );
}

/** Waits until every entry is handled and acknowledged. */
async function untilConsumed(): Promise<void> {
  await eventually(
    async () => {
      const [last] = await broker.xrevrange(STREAM, '+', '-', 'COUNT', 1);
      const [group] = (await broker.xinfo('GROUPS', STREAM)) as unknown[][];
      const of = (name: string): unknown => group?.[group.indexOf(name) + 1];
      return of('pending') === 0 && of('last-delivered-id') === last?.[0];
    },
    { timeoutMs: 30_000, what: 'the end of the stream' },
  );
}

/** The rows of these payments. */
async function ledger(url: string, payments: readonly Payment[]): Promise<readonly Payment[]> {
  const { entries, rows, cents } = (await (await fetch(url)).json()) as LedgerState;
  expect(rows).toBe(entries.length);
  expect(cents).toBe(entries.reduce((sum, { amountCents }) => sum + amountCents, 0));
  return entries.filter(({ paymentId }) => payments.some((one) => one.paymentId === paymentId));
}
