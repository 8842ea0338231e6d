/** What becomes of transactions that are still open when the resolver has settled, or that were never begun. */

import type { Pool, PoolClient } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';
import { deferred } from '../support/signal.ts';

let service: Service;
let pool: Pool;
let act: (call: PayCall) => unknown;
let key: string;
let keys = 0;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  ({ pool } = service.idempotency);
});
afterAll(() => service.stop());
beforeEach(async () => {
  key = `open-${(keys += 1)}`;
  await pool.query('truncate payments');
});

const amounts = async (): Promise<number[]> => (await service.payments()).map(({ amount }) => amount);
const insertOn = (client: PoolClient, amount: number): Promise<unknown> =>
  client.query('insert into payments (amount) values ($1)', [amount]);

/** As every library's own `transaction()` does it. */
async function inTransaction(work: (client: PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await work(client);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

test('half of a transaction that nobody awaited is not committed', async () => {
  const written = deferred();
  const settled = deferred();
  let outcome: Promise<unknown> = Promise.resolve();
  act = async () => {
    outcome = inTransaction(async (client) => {
      await insertOn(client, 1);
      written.resolve();
      await settled.promise;
      await insertOn(client, 2);
    });
    outcome.catch(() => {});
    await written.promise;
    return { id: '1', amount: 1 };
  };
  const { code } = await service.send({ key });
  settled.resolve();
  await expect(outcome).rejects.toThrow(/transaction is over/);
  expect(await amounts()).toEqual([]);
  expect(code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
});

test('a transaction that nobody awaited is committed where its COMMIT was sent in time', async () => {
  act = async () => {
    const client = await pool.connect();
    void client.query('begin');
    void insertOn(client, 1);
    void client.query('commit');
    client.release();
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key })).code).toBeUndefined();
  expect(await amounts()).toEqual([1]);
});

test('a transaction that is left open after it has only read does no harm', async () => {
  act = async ({ insert }) => {
    const client = await pool.connect();
    await client.query('begin');
    await client.query('select 1');
    return insert();
  };
  expect((await service.send({ key })).code).toBeUndefined();
  expect(await amounts()).toEqual([100]);
});

test('a client whose BEGIN failed is given back outside a transaction', async () => {
  act = async () => {
    await inTransaction((outer) => insertOn(outer, 1).then(() => {}));
    await inTransaction(async (outer) => {
      await outer.query('select 1 / 0').catch(() => {});
      // Begun on its own connection it would know nothing of that failure: refused or not, it must not harm.
      await inTransaction((inner) => insertOn(inner, 3).then(() => {})).catch(() => {});
      throw new Error('outer');
    }).catch(() => {});
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key })).code).toBeUndefined();
  expect((await amounts())[0]).toBe(1);
});

test('one that failed, was passed over by others and is never ended fails the attempt: it may have written', async () => {
  act = async () => {
    const client = await pool.connect();
    await client.query('begin');
    await insertOn(client, 1);
    await client.query('select 1 / 0').catch(() => {});
    await pool.query('insert into payments (amount) values (2)');
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key })).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await amounts()).toEqual([]);
});

describe('a client that is released while its BEGIN waits for its turn', () => {
  const beside = async (work: (client: PoolClient) => void): Promise<string | undefined> => {
    act = async () => {
      const [other, client] = [await pool.connect(), await pool.connect()];
      await other.query('begin');
      const written = insertOn(other, 1);
      work(client);
      client.release();
      await written;
      await other.query('commit');
      other.release();
      await pool.query('select 1');
      return { id: '1', amount: 1 };
    };
    return (await service.send({ key })).code;
  };

  test('leaves nothing open', async () => {
    expect(await beside((client) => void client.query('begin'))).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(service.log.at(-1)?.facts).toMatchObject({
      cause: { message: expect.stringContaining('released inside a transaction') },
    });
  });

  test('does no harm where its COMMIT waits, too', async () => {
    const code = await beside((client) => {
      void client.query('begin');
      void insertOn(client, 2);
      void client.query('commit');
    });
    expect(code).toBeUndefined();
    expect(await amounts()).toEqual([1, 2]);
  });
});

test('a client that is released while its COMMIT waits for its turn has ended its transaction', async () => {
  act = async () => {
    const [older, newer] = [await pool.connect(), await pool.connect()];
    await older.query('begin');
    await newer.query('begin');
    const committed = older.query('commit');
    older.release();
    await newer.query('commit');
    newer.release();
    await committed;
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key })).code).toBeUndefined();
});
