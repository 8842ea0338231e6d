/** What a library may say to a joined client inside an attempt, and what it is answered. */

import { Readable } from 'node:stream';
import type { Pool } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Reply, Service } from '../support/service.ts';

let service: Service;
let pool: Pool;
let url: string;
let act: (call: PayCall) => unknown;
let keys = 0;

beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  ({ pool } = service.idempotency);
});
afterAll(() => service.stop());
beforeEach(() => pool.query('truncate payments'));

const amounts = async (): Promise<number[]> => (await service.payments()).map(({ amount }) => amount);
const insert = 'insert into payments (amount) values ($1)';

function inside(work: (call: PayCall) => Promise<unknown>): Promise<Reply> {
  act = async (call) => {
    await work(call);
    return { id: '1', amount: 1 };
  };
  return service.send({ key: `command-${(keys += 1)}` });
}

describe('an isolation that the attempt has not is refused, and the attempt goes on', () => {
  test.each([
    'BEGIN ISOLATION LEVEL SERIALIZABLE',
    'begin transaction isolation level repeatable read',
    'START TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE;',
    'start transaction read only',
    'BEGIN /* why */ READ ONLY',
    'set transaction isolation level serializable',
    `SET TRANSACTION SNAPSHOT '00000003-0000001B-1'`,
    'COMMIT AND CHAIN',
    'rollback and chain',
    `prepare transaction 'x'`,
    `commit prepared 'x'`,
    `ROLLBACK PREPARED 'x'`,
    'begin; insert into payments (amount) values (1); commit',
  ])('%s', async (text) => {
    const reply = await inside(async () => {
      const client = await pool.connect();
      await expect(client.query(text)).rejects.toThrow(/The statement (demands|chains|is not|has a command)/);
      client.release();
      await pool.query(insert, [2]);
    });
    expect(reply.code).toBeUndefined();
    expect(await amounts()).toEqual([2]);
  });
});

test.each([
  'begin',
  'BEGIN;',
  'Begin Work',
  'begin isolation level read committed',
  'BEGIN TRANSACTION ISOLATION LEVEL READ UNCOMMITTED, READ WRITE, NOT DEFERRABLE',
  'start transaction',
  '-- a comment\nSTART TRANSACTION READ WRITE;',
])('%s begins a part that can be rolled back', async (text) => {
  const reply = await inside(async () => {
    const client = await pool.connect();
    await client.query(text);
    await client.query('set transaction isolation level read committed');
    await client.query(insert, [1]);
    await client.query('abort');
    client.release();
    await pool.query(insert, [2]);
  });
  expect(reply.code).toBeUndefined();
  expect(await amounts()).toEqual([2]);
});

test('words that only look like commands are sent as they are', async () => {
  const reply = await inside(async () => {
    const { rows } = await pool.query(`select 'begin' as a, 1 as "commit", $$rollback$$ as b -- end`);
    expect(rows).toEqual([{ a: 'begin', commit: 1, b: 'rollback' }]);
    await pool.query(`set local lock_timeout = '1s'`);
    await pool.query('do $$ begin perform 1; end $$');
  });
  expect(reply.code).toBeUndefined();
});

test('COMMIT and ROLLBACK without BEGIN end nothing', async () => {
  const reply = await inside(async () => {
    await pool.query(insert, [1]);
    expect((await pool.query('commit')).command).toBe('COMMIT');
    expect((await pool.query('rollback')).command).toBe('ROLLBACK');
    expect(await amounts()).toEqual([]);
  });
  expect(reply.code).toBeUndefined();
  expect(await amounts()).toEqual([1]);
});

test('COMMIT of a part that failed says ROLLBACK, as Postgres does, and the attempt fails: libraries do not read it', async () => {
  const reply = await inside(async () => {
    await pool.query(insert, [1]);
    const client = await pool.connect();
    await client.query('begin');
    await client.query(insert, [2]);
    await expect(client.query('select 1 / 0')).rejects.toThrow(/division by zero/);
    await expect(client.query(insert, [3])).rejects.toMatchObject({ code: '25P02' });
    expect((await client.query('commit')).command).toBe('ROLLBACK');
    client.release();
  });
  expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(service.log.at(-1)?.facts).toMatchObject({
    cause: { message: expect.stringContaining('COMMIT was sent for a transaction in which a statement') },
  });
  expect(await amounts()).toEqual([]);
});

test('parts within parts, on one client and with savepoints of its own', async () => {
  const reply = await inside(async () => {
    const client = await pool.connect();
    for (const command of ['begin', 'begin']) await client.query(command);
    await client.query(insert, [1]);
    await client.query('rollback');
    await client.query(insert, [2]);
    await client.query('savepoint mine');
    await client.query(insert, [3]);
    await client.query('rollback to savepoint mine');
    await client.query('release savepoint mine');
    await client.query('commit');
    client.release();
  });
  expect(reply.code).toBeUndefined();
  expect(await amounts()).toEqual([2]);
});

describe('what would lose a write of which somebody was told that it is done fails the attempt', () => {
  test('a client that is released inside a transaction', async () => {
    const reply = await inside(async () => {
      const client = await pool.connect();
      await client.query('begin');
      await client.query(insert, [1]);
      client.release();
    });
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(service.log.at(-1)?.facts).toMatchObject({
      cause: { message: expect.stringContaining('released inside a transaction') },
    });
  });

  test('BEGIN through the pool itself', async () => {
    const reply = await inside(async () => {
      await pool.query('begin');
      await pool.query(insert, [1]);
    });
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  });

  test('a part that is rolled back around a write of others', async () => {
    const reply = await inside(async ({ tx }) => {
      const client = await pool.connect();
      await client.query('begin');
      await tx.query(insert, [1]);
      await client.query('rollback');
      client.release();
    });
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  });

  test('a savepoint that is rolled back around a write of others', async () => {
    const reply = await inside(async () => {
      const client = await pool.connect();
      await client.query('begin');
      await client.query('SAVEPOINT "trx 2";');
      await pool.query(insert, [1]);
      await client.query('ROLLBACK TO "trx 2";');
      await client.query('commit');
      client.release();
    });
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  });

  test.each([
    'select pay_for(1)',
    'select * from public.pay_for(1)',
    'with paid as (select "pay_for" (1)) select count(*) from paid',
  ])('a part that is rolled back around a function that others called: %s', async (text) => {
    await pool.query(
      `create or replace function pay_for(amount integer) returns void language sql as 'insert into payments (amount) values (amount)'`,
    );
    const reply = await inside(async () => {
      const client = await pool.connect();
      await client.query('begin');
      await pool.query(text);
      await client.query('rollback');
      client.release();
    });
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  });

  test('but not a part that is rolled back around a read of others, or destroyed by its owner', async () => {
    const reply = await inside(async () => {
      const client = await pool.connect();
      await client.query('begin');
      await client.query(insert, [1]);
      await pool.query('select count(*) from payments');
      await pool.query('select coalesce(max(amount), 0) as most from (select * from payments) as paid');
      client.release(new Error('the library gives it up'));
      await pool.query(insert, [2]);
    });
    expect(reply.code).toBeUndefined();
    expect(await amounts()).toEqual([2]);
  });
});

describe('the calling conventions of pg', () => {
  test('callbacks, objects, arrays, parsers and prepared statements', async () => {
    const reply = await inside(async () => {
      const client = await pool.connect();
      const one = await new Promise<unknown>((resolve, reject) => {
        client.query('select $1::int as one', [1], (error, result) =>
          error ? reject(error) : resolve(result.rows),
        );
      });
      expect(one).toEqual([{ one: 1 }]);
      const failed = await new Promise<Error>((resolve) => {
        pool.query('savepoint a; selec 1', (error: Error) => resolve(error));
      });
      expect(failed.message).toMatch(/syntax error/);
      await client.query('rollback to savepoint a').catch(() => {});
      client.release();
    });
    // The failed statement has failed the attempt: it was in no part of its own.
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    const second = await inside(async () => {
      const client = await pool.connect();
      expect((await client.query({ text: 'select $1::int', values: [1], rowMode: 'array' })).rows).toEqual([
        [1],
      ]);
      const named = { name: 'by-name', text: 'select $1::text as a' };
      expect((await client.query(named, ['x'])).rows).toEqual([{ a: 'x' }]);
      expect((await client.query({ ...named, values: ['y'] })).rows).toEqual([{ a: 'y' }]);
      const { fields, rowCount, command } = await client.query('select 1 as one');
      expect([fields[0]?.name, rowCount, command]).toEqual(['one', 1, 'SELECT']);
      const parser = { getTypeParser: () => (value: unknown) => `<${String(value)}>` };
      expect((await client.query({ text: 'select 1 as one', types: parser as never })).rows).toEqual([
        { one: '<1>' },
      ]);
      client.setTypeParser(23, (value) => Number(value) + 1);
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 2 }]);
      client.release();
      expect(() => client.release()).toThrow(/already been released/);
    });
    expect(second.code).toBeUndefined();
  });

  test('values are those of the moment of the call', async () => {
    const reply = await inside(async () => {
      const values = [1];
      const first = pool.query(insert, values);
      values[0] = 2;
      await first;
    });
    expect(reply.code).toBeUndefined();
    expect(await amounts()).toEqual([1]);
  });

  test('cursors and streams are refused with a reason', async () => {
    const reply = await inside(async () => {
      const client = await pool.connect();
      const cursor = Object.assign(new Readable(), { submit: () => {}, text: 'select 1' });
      await expect(client.query(cursor as never) as unknown as Promise<unknown>).rejects.toThrow(
        /cursors and streams/,
      );
      client.release();
      await pool.query(insert, [1]);
    });
    expect(reply.code).toBeUndefined();
  });
});
