/** Transactions side by side, and within each other, on clients that know nothing of one another. */

import type { Pool, PoolClient } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Reply, Service } from '../support/service.ts';
import { deferred } from '../support/signal.ts';

let service: Service;
let pool: Pool;
let act: (call: PayCall) => unknown;
let keys = 0;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  ({ pool } = service.idempotency);
});
afterAll(() => service.stop());
beforeEach(() => pool.query('truncate payments'));

const amounts = async (): Promise<number[]> => (await service.payments()).map(({ amount }) => amount);
const INSERT = 'insert into payments (amount) values ($1)';

interface Handle {
  insert(amount: number): Promise<unknown>;
}

/** As libraries do it: what the work throws rolls back. */
async function transaction(work: (handle: Handle) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await work({ insert: (amount) => client.query(INSERT, [amount]) });
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

function inside(work: (call: PayCall) => Promise<unknown>): Promise<Reply> {
  act = async (call) => {
    await work(call);
    return { id: '1', amount: 1 };
  };
  return service.send({ key: `side-${(keys += 1)}` });
}

test('of transactions side by side, those that fail are rolled back, and the others stay', async () => {
  const reply = await inside(async ({ tx }) => {
    await Promise.allSettled([
      transaction(async (handle) => {
        for (const amount of [1, 2, 3]) await handle.insert(amount);
        throw new Error('rolled back');
      }),
      transaction(async (handle) => {
        for (const amount of [11, 12, 13]) await handle.insert(amount);
      }),
      pool.query(INSERT, [20]),
      transaction(async (handle) => {
        await handle.insert(31);
        throw new Error('rolled back');
      }),
      tx.query(INSERT, [40]),
    ]);
  });
  expect(reply.code).toBeUndefined();
  expect((await amounts()).sort((a, b) => a - b)).toEqual([11, 12, 13, 20, 40]);
});

test('a transaction that begins in the middle of another, by a client of its own, does not wait for it', async () => {
  const reply = await inside(() =>
    transaction(async (outer) => {
      await outer.insert(1);
      await transaction((inner) => inner.insert(2).then(() => {}));
      await pool.query(INSERT, [3]);
      await outer.insert(4);
    }),
  );
  expect(reply.code).toBeUndefined();
  expect(await amounts()).toEqual([1, 2, 3, 4]);
});

test('the handle of the outer one works in the middle of the inner one', async () => {
  const reply = await inside(() =>
    transaction(async (outer) => {
      await outer.insert(1);
      await transaction(async (inner) => {
        await inner.insert(2);
        await outer.insert(3);
        await inner.insert(4);
      });
    }),
  );
  expect(reply.code).toBeUndefined();
  expect(await amounts()).toEqual([1, 2, 3, 4]);
});

test('but not where the inner one is rolled back: the outer one’s write would be lost', async () => {
  const reply = await inside(() =>
    transaction(async (outer) => {
      await transaction(async () => {
        await outer.insert(3);
        throw new Error('rolled back');
      }).catch(() => {});
    }),
  );
  expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await amounts()).toEqual([]);
});

test('one that is at work elsewhere for long keeps nobody waiting, and what they write in its midst stays', async () => {
  const elsewhere = deferred();
  const reply = await inside(async ({ tx }) => {
    const slow = transaction(async (handle) => {
      await handle.insert(1);
      await elsewhere.promise;
      await handle.insert(2);
    });
    await transaction((handle) => handle.insert(3).then(() => {}));
    await tx.query(INSERT, [4]);
    elsewhere.resolve();
    await slow;
  });
  expect(reply.code).toBeUndefined();
  expect((await amounts()).sort((a, b) => a - b)).toEqual([1, 2, 3, 4]);
});

test('what a client sends without awaiting keeps its order, also where it has to wait', async () => {
  const reply = await inside(async () => {
    const [first, second] = await Promise.all([pool.connect(), pool.connect()]);
    const sent = [
      first!.query('begin'),
      first!.query(INSERT, [1]),
      second!.query('begin'),
      second!.query(INSERT, [2]),
      first!.query(INSERT, [3]),
      second!.query('rollback'),
      second!.query(INSERT, [4]),
      first!.query('commit'),
      first!.query(INSERT, [5]),
    ];
    await Promise.all(sent);
    first!.release();
    second!.release();
  });
  expect(reply.code).toBeUndefined();
  expect((await amounts()).sort((a, b) => a - b)).toEqual([1, 3, 4, 5]);
});

test('what still waits when the resolver settles is missing: the attempt fails', async () => {
  const reply = await inside(async ({ tx }) => {
    const client = await pool.connect();
    await client.query('begin');
    const busy = Array.from({ length: 50 }, () => client.query('select 1'));
    void tx.query(INSERT, [1]);
    await busy[0];
    void Promise.all(busy)
      .then(() => client.query('commit'))
      .catch(() => {});
  });
  expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await amounts()).toEqual([]);
});

describe('the older of two that ends first waits for nobody', () => {
  async function two(end: (older: PoolClient, newer: PoolClient) => Promise<unknown>): Promise<Reply> {
    return inside(async () => {
      const [older, newer] = [await pool.connect(), await pool.connect()];
      await older.query('begin');
      await older.query(INSERT, [1]);
      await newer.query('begin');
      await newer.query('select 1');
      await end(older, newer);
      older.release();
      newer.release();
    });
  }

  test('by COMMIT, which the newer one’s COMMIT follows', async () => {
    const reply = await two(async (older, newer) => {
      expect((await older.query('commit')).command).toBe('COMMIT');
      await newer.query(INSERT, [2]);
      await newer.query('commit');
    });
    expect(reply.code).toBeUndefined();
    expect(await amounts()).toEqual([1, 2]);
  });

  test('by COMMIT, where the newer one is rolled back', async () => {
    const reply = await two(async (older, newer) => {
      await newer.query(INSERT, [2]);
      await older.query('commit');
      await newer.query('rollback');
    });
    expect(reply.code).toBeUndefined();
    expect(await amounts()).toEqual([1]);
  });

  test('by ROLLBACK, which takes effect behind the newer one’s', async () => {
    const reply = await two(async (older, newer) => {
      await newer.query(INSERT, [2]);
      expect((await older.query('rollback')).command).toBe('ROLLBACK');
      await newer.query('rollback');
      await pool.query(INSERT, [3]);
    });
    expect(reply.code).toBeUndefined();
    expect(await amounts()).toEqual([3]);
  });

  test('but not by ROLLBACK around what the newer one has committed', async () => {
    const reply = await two(async (older, newer) => {
      await newer.query(INSERT, [2]);
      await older.query('rollback');
      await newer.query('commit');
    });
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  });

  test('nor where the newer one is left open behind it: it could not be rolled back', async () => {
    const reply = await inside(async () => {
      const [older, newer] = [await pool.connect(), await pool.connect()];
      for (const client of [older, newer]) await client.query('begin');
      await older.query(INSERT, [1]);
      await older.query('rollback');
    });
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(await amounts()).toEqual([]);
  });

  test('where the newer one has only read, and is never ended', async () => {
    const reply = await inside(async () => {
      const [older, newer] = [await pool.connect(), await pool.connect()];
      for (const client of [older, newer]) await client.query('begin');
      await older.query(INSERT, [1]);
      await older.query('commit');
    });
    expect(reply.code).toBeUndefined();
    expect(await amounts()).toEqual([1]);
  });
});

describe('a savepoint that is rolled back in the midst of another’s transaction', () => {
  const beside = (of: 'tx' | 'a client', statement: string): Promise<Reply> =>
    inside(async ({ tx }) => {
      const [client, newer] = [await pool.connect(), await pool.connect()];
      const older: { query(text: string): Promise<unknown> } = of === 'tx' ? tx : client;
      await client.query(of === 'tx' ? 'select 1' : 'begin');
      await newer.query('begin');
      await older.query('savepoint part');
      await newer.query(statement);
      await older.query('rollback to savepoint part');
      await newer.query('commit');
      await client.query('commit');
    });

  test.each(['tx', 'a client'] as const)('fails the attempt where the other had written: %s', async (of) => {
    const reply = await beside(of, 'insert into payments (amount) values (1)');
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  });

  test.each(['tx', 'a client'] as const)('does no harm where the other had only read: %s', async (of) => {
    expect((await beside(of, 'select 1')).code).toBeUndefined();
  });
});
