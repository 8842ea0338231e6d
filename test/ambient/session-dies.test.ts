/** The session dies while the attempt's transactions wait for their turns: all are answered, and nobody is blamed. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Pool, PoolClient } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';

let service: Service;
let pool: Pool;
let act: (call: PayCall) => unknown;
const events: unknown[] = [];
const listen = (message: unknown): void => void events.push((message as { event?: unknown }).event);

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  ({ pool } = service.idempotency);
  subscribe('graphql-idempotency', listen);
});
afterAll(async () => {
  unsubscribe('graphql-idempotency', listen);
  await service.stop();
});

type Wait = (call: PayCall, older: PoolClient, other: PoolClient) => Promise<unknown>;

test.each<[string, Wait]>([
  ['a statement that belongs to none', ({ tx }) => tx.query('select 1')],
  ['a statement of the older', (_, older) => older.query('select 1')],
  ['its COMMIT', (_, older) => older.query('commit')],
  ['another BEGIN', (_, __, other) => other.query('begin')],
])('%s', async (name, wait) => {
  let waited: Promise<unknown> = Promise.resolve();
  let slept: Promise<unknown> = Promise.resolve();
  act = async (call) => {
    const [older, newer, other] = [await pool.connect(), await pool.connect(), await pool.connect()];
    const { rows } = await call.tx.query<{ pid: number }>('select pg_backend_pid() as pid');
    await older.query('begin');
    await newer.query('begin');
    slept = newer.query('select pg_sleep(60)');
    waited = wait(call, older, other);
    waited.catch(() => {});
    await service.idempotency.outside(() => pool.query('select pg_terminate_backend($1)', [rows[0]!.pid]));
    await slept;
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key: name.replaceAll(' ', '-') })).code).toBe(
    'IDEMPOTENCY_TRANSACTION_ABORTED',
  );
  await expect(slept).rejects.toThrow(/terminating connection/);
  await expect(waited).rejects.toThrow('The transaction is over: its session died.');
  expect(events).not.toContain('late-statement');
});
