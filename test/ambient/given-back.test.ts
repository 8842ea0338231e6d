/** Clients of a library's own pool that are given back while a transaction of an attempt is open on them. */

import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';

let service: Service;
let driverPool: Pool;
let act: (call: PayCall) => unknown;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  driverPool = new service.idempotency.driver.Pool({ connectionString: url, max: 1 });
});
afterAll(async () => {
  await service.stop();
  await driverPool.end();
});

describe('a client that was lent before the attempt, in which a transaction was begun on it and left open', () => {
  const leftOpen = async (): Promise<PoolClient> => {
    const lent = await driverPool.connect();
    act = async () => {
      await lent.query('begin');
      return { id: '1', amount: 1 };
    };
    expect((await service.send({ key: randomUUID() })).code).toBeUndefined();
    return lent;
  };

  test('is as good as new for the next one whom its pool lends it', async () => {
    const lent = await leftOpen();
    lent.release();
    const next = await driverPool.connect();
    expect(next).toBe(lent);
    expect(statusOf(next)).toBe('I');
    expect((await next.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    next.release();
  });

  test('begins anew for the next one whom a pool of another make lends it', async () => {
    const lent = await leftOpen();
    expect((await lent.query('begin')).command).toBe('BEGIN');
    expect(statusOf(lent)).toBe('T');
    await lent.query('rollback');
    lent.release();
  });

  test('fails the attempt where its pool gets it back within', async () => {
    const lent = await driverPool.connect();
    act = async () => {
      await lent.query('begin');
      lent.release();
      return { id: '1', amount: 1 };
    };
    expect((await service.send({ key: randomUUID() })).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  });
});

function statusOf(client: PoolClient): string {
  return (client as unknown as { getTransactionStatus(): string }).getTransactionStatus();
}
