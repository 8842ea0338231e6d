/** A thousand requests at once, by every way that joins: each has its own transaction, and nobody another's. */

import type { Client, Pool, PoolClient } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { PAY, startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';

const REQUESTS = 1000;
let service: Service;
let pool: Pool;
/** A library's own pool, of few connections that go from one request to the next. */
let driverPool: Pool;
let act: (call: PayCall) => unknown;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    options: { poolSize: 8, poolQueueSize: REQUESTS, acquireTimeout: 60_000, transactionTimeout: 60_000 },
    pay: (call) => act(call),
  });
  ({ pool } = service.idempotency);
  driverPool = new service.idempotency.driver.Pool({ connectionString: url, max: 3 });
  await pool.query('create table marks (request integer, xid xid8, primary key (request, xid))');
});
afterAll(async () => {
  await service.stop();
  await driverPool.end();
});

const MARK = 'insert into marks (request, xid) values ($1, pg_current_xact_id()) on conflict do nothing';
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function inTransaction(lent: Promise<PoolClient>, request: number, end: string): Promise<void> {
  const client = await lent;
  await client.query('begin');
  await turn();
  await client.query(MARK, [request]);
  await client.query(end);
  client.release();
}

const ways: ((request: number, call: PayCall) => Promise<unknown>)[] = [
  (request) => pool.query(MARK, [request]),
  (request, { tx }) => tx.query(MARK, [request]),
  (request) => inTransaction(pool.connect(), request, 'commit'),
  (request) => inTransaction(driverPool.connect(), request, 'commit'),
  (request) => driverPool.query(MARK, [request]),
  (request) =>
    new Promise<void>((resolve, reject) => {
      driverPool.connect((error, client, release) => {
        if (error !== undefined) reject(error);
        client!.query(MARK, [request], (failed: Error | null) => {
          release();
          if (failed) reject(failed);
          else resolve();
        });
      });
    }),
];

/** Without HTTP, whose connections would come one after the other. Resolves to the error's message, or to nothing. */
async function send(key: string, amount: number): Promise<string> {
  const { body } = await service.server.executeOperation(
    { query: PAY, variables: { amount }, extensions: { idempotencyKey: key } },
    { contextValue: { user: 'alice', gone: new AbortController().signal } },
  );
  return (body.kind === 'single' && body.singleResult.errors?.[0]?.message) || '';
}

test('a thousand interleaved requests leave one transaction each, or nothing', async () => {
  const late: Promise<unknown>[] = [];
  let release!: () => void;
  const over = new Promise<void>((resolve) => (release = resolve));
  act = async (call) => {
    const request = call.args.amount;
    await inTransaction(pool.connect(), -request, 'rollback');
    // In an order of its own, some of it at the same time.
    const own = ways.map((way, index) => ({ way, at: (request * 7 + index * 3) % ways.length }));
    own.sort((a, b) => a.at - b.at);
    for (const { way } of own.slice(0, 3)) {
      await way(request, call);
      await turn();
    }
    await Promise.all(own.slice(3).map(({ way }) => way(request, call)));
    if (request % 10 === 0) late.push(over.then(() => pool.query(MARK, [-1])));
    if (request % 3 === 0) throw new Error('rolled back');
    return { id: '1', amount: request };
  };
  const outside = async (request: number): Promise<void> => {
    await turn();
    await (request % 2 === 0 ? pool : driverPool).query(MARK, [REQUESTS + request]);
  };
  const requests = Array.from({ length: REQUESTS }, (_, index) => index + 1);
  const replies = await Promise.all(
    requests.flatMap((amount) => [send(`leak-${amount}`, amount), outside(amount)]),
  );
  const answered = replies.filter((reply) => reply !== undefined);
  expect(answered).toHaveLength(REQUESTS);
  const failed = answered.filter((message) => message !== '');
  expect(failed).toEqual(failed.map(() => 'rolled back'));
  expect(failed).toHaveLength(Math.floor(REQUESTS / 3));
  release();
  const refused = await Promise.allSettled(late);
  expect(refused.every(({ status }) => status === 'rejected')).toBe(true);

  // One row for each request and transaction: two rows of a request are two transactions.
  const { rows } = await pool.query<{ request: number; xids: number }>(
    'select request, count(*)::int as xids from marks group by request order by request',
  );
  const kept = requests.filter((request) => request % 3 !== 0);
  expect(rows.filter(({ request }) => request <= REQUESTS).map(({ request }) => request)).toEqual(kept);
  expect(rows.every(({ xids }) => xids === 1)).toBe(true);
  expect(rows.filter(({ request }) => request > REQUESTS)).toHaveLength(REQUESTS);
  const { rows: shared } = await pool.query('select xid from marks group by xid having count(*) > 1');
  expect(shared).toEqual([]);
}, 120_000);

test('a connection that was opened inside an attempt serves the next request like any other', async () => {
  const client: Client = new service.idempotency.driver.Client({
    connectionString: driverPool.options.connectionString,
  });
  act = async () => {
    await client.connect();
    await client.query(MARK, [5001]);
    await client.query(`set application_name = 'of the connection'`);
    throw new Error('rolled back');
  };
  await service.send({ key: 'opened-inside' });
  expect((await client.query('select * from marks where request = 5001')).rows).toEqual([]);
  expect((await client.query('show application_name')).rows).toEqual([
    { application_name: 'of the connection' },
  ]);
  act = async () => {
    await client.query('begin');
    await client.query(MARK, [5002]);
    await client.query('commit');
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key: 'used-inside' })).code).toBeUndefined();
  expect((await client.query('select count(*)::int as n from marks where request = 5002')).rows).toEqual([
    { n: 1 },
  ]);
  await client.query('begin');
  act = async () => {
    await expect(client.query('select 1')).rejects.toThrow(/begun before the guarded call/);
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key: 'begun-outside' })).code).toBeUndefined();
  await client.query('rollback');
  await client.end();
});

test('what a connection that was opened inside an attempt calls back, later, is in no attempt', async () => {
  const { connectionString } = driverPool.options;
  const client: Client = new service.idempotency.driver.Client({ connectionString });
  act = async () => {
    await client.connect();
    return { id: '1', amount: 1 };
  };
  await service.send({ key: 'opened-for-later' });
  const written = new Promise((resolve, reject) => {
    client.query('select 1', () => void pool.query(MARK, [5003]).then(resolve, reject));
  });
  await written;
  await client.end();
});

test('who waits outside for a connection gets it outside, also when an attempt gives it free', async () => {
  const { connectionString } = driverPool.options;
  const ofOne = new service.idempotency.driver.Pool({ connectionString, max: 1 });
  const lent = await ofOne.connect();
  const waiting = ofOne.query(MARK, [5004]);
  act = async () => {
    lent.release();
    await waiting;
    throw new Error('rolled back');
  };
  await service.send({ key: 'gives-free' });
  expect((await pool.query('select from marks where request = 5004')).rowCount).toBe(1);
  await ofOne.end();
});

test('what is done outside, by request, stays when the attempt is rolled back', async () => {
  const { idempotency } = service;
  act = async () => {
    await idempotency.outside(() => pool.query(MARK, [6001]));
    await pool.query(MARK, [6002]);
    throw new Error('rolled back');
  };
  await service.send({ key: 'outside' });
  const { rows } = await pool.query('select request from marks where request > 6000');
  expect(rows).toEqual([{ request: 6001 }]);
});

test('a transaction that its attempt left open gets a clear error from COMMIT, and none from ROLLBACK', async () => {
  const { connectionString } = driverPool.options;
  const [first, second] = [1, 2].map(() => new service.idempotency.driver.Client({ connectionString }));
  await Promise.all([first!.connect(), second!.connect()]);
  let lent: PoolClient | undefined;
  act = async () => {
    lent = await pool.connect();
    for (const client of [lent, first!, second!]) await client.query('begin');
    return { id: '1', amount: 1 };
  };
  expect((await service.send({ key: 'left-open' })).code).toBeUndefined();
  for (const client of [lent!, first!]) {
    await expect(client.query(MARK, [7001])).rejects.toThrow(/transaction is over/);
  }
  await expect(first!.query('commit')).rejects.toThrow(/transaction is over/);
  expect((await second!.query('rollback')).command).toBe('ROLLBACK');
  // They are connections like any other again.
  for (const client of [first!, second!]) {
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  }
  lent!.release();
  expect((await pool.query('select from marks where request = 7001')).rowCount).toBe(0);
});

test('a client that the library’s own pool lent outside is nobody’s when it is given back', async () => {
  const lent = await pool.connect();
  act = async () => {
    await lent.query('begin');
    return { id: '1', amount: 1 };
  };
  await service.send({ key: 'given-back' });
  lent.release();
  const clients = await Promise.all(Array.from({ length: pool.idleCount || 1 }, () => pool.connect()));
  for (const client of clients) expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  expect(clients).toContain(lent);
  for (const client of clients) client.release();
});
