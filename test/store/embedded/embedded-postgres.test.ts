/** The embedded database seen through `pg`: it behaves as a server does. Durability has a file of its own. */

import { randomBytes } from 'node:crypto';
import { Client, Pool } from 'pg';
import type { ClientConfig } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openEmbeddedPostgres } from '../../../src/store/embedded/embedded-postgres.ts';
import type { EmbeddedPostgres } from '../../../src/store/embedded/embedded-postgres.ts';
import { simpleQuery } from '../../../src/store/embedded/wire-batches.ts';
import { cut, heard, parseBindExecute, rawConnection } from './raw-connection.ts';

let database: EmbeddedPostgres;

beforeAll(async () => {
  database = await openEmbeddedPostgres({ folder: 'memory://' });
  await withClient((client) =>
    client.query('create table notes (id int constraint notes_pk primary key, body text, bytes bytea)'),
  );
});

afterAll(() => database.close());

it('commits and rolls back transactions', async () => {
  await withClient(async (client) => {
    await client.query('begin');
    await client.query('insert into notes (id) values (1)');
    expect(await client.query('commit')).toMatchObject({ command: 'COMMIT' });
    await client.query('begin');
    await client.query('insert into notes (id) values (2)');
    expect(await client.query('rollback')).toMatchObject({ command: 'ROLLBACK' });
    expect((await client.query('select id from notes where id < 10')).rows).toEqual([{ id: 1 }]);
  });
});

it('gives errors their SQLSTATE and constraint, and goes on', async () => {
  await withClient(async (client) => {
    await client.query('insert into notes (id) values ($1)', [10]);
    await expect(client.query('insert into notes (id) values ($1)', [10])).rejects.toMatchObject({
      code: '23505',
      constraint: 'notes_pk',
    });
    await expect(client.query('selec')).rejects.toMatchObject({ code: '42601' });
    await expect(client.query('select $1::int', ['x'])).rejects.toMatchObject({ code: '22P02' });
    await expect(
      client.query("do $$ begin raise exception using errcode = 'ID001'; end $$"),
    ).rejects.toMatchObject({ code: 'ID001' });
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });
});

it('answers the COMMIT of a failed transaction with the tag ROLLBACK', async () => {
  await withClient(async (client) => {
    await client.query('begin');
    await client.query('insert into notes (id) values (20)');
    await expect(client.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' });
    await expect(client.query('select 1')).rejects.toMatchObject({ code: '25P02' });
    expect(await client.query('commit')).toMatchObject({ command: 'ROLLBACK' });
    expect((await client.query('select id from notes where id = 20')).rows).toEqual([]);
  });
});

it('answers pipelined statements in order, each error at its own statement', async () => {
  await withClient(
    async (client) => {
      const answers = await Promise.allSettled([
        client.query('begin'),
        client.query('insert into notes (id) values ($1) returning id', [30]),
        client.query('insert into notes (id) values ($1)', [30]),
        client.query('select 1'),
        client.query('commit'),
        client.query('select count(*)::int as count from notes where id = 30'),
      ]);
      expect(answers).toMatchObject([
        { value: { command: 'BEGIN' } },
        { value: { rows: [{ id: 30 }] } },
        { reason: { code: '23505' } },
        { reason: { code: '25P02' } },
        { value: { command: 'ROLLBACK' } },
        { value: { rows: [{ count: 0 }] } },
      ]);
    },
    { pipeline: true },
  );
});

it('carries large binary parameters and any text both ways', async () => {
  const bytes = randomBytes(3_000_000);
  const body = 'Zürich \u{1f98a} \u{10ffff} «\u0001\u00a0» 中文';
  await withClient(async (client) => {
    await client.query('insert into notes values ($1, $2, $3)', [40, body, bytes]);
    const { rows } = await client.query('select body, bytes from notes where body = $1', [body]);
    expect(rows[0].body).toBe(body);
    expect(bytes.equals(rows[0].bytes)).toBe(true);
    await expect(client.query('select $1::text', ['\0'])).rejects.toMatchObject({ code: '22021' });
  });
});

it('keeps named statements and portals that are read in parts', async () => {
  await withClient(async (client) => {
    const named = { name: 'twice', text: 'select $1::int * 2 as twice' };
    expect((await client.query({ ...named, values: [2] })).rows).toEqual([{ twice: 4 }]);
    expect((await client.query({ ...named, values: [3] })).rows).toEqual([{ twice: 6 }]);
    const inParts = { text: 'select generate_series(1, 25) as n', rows: 10 };
    expect((await client.query(inParts)).rows).toHaveLength(25);
  });
});

it('rolls back what a cut connection had begun, and the next one finds a clean session', async () => {
  const first = await connect();
  await first.query('create role visitor nologin');
  await first.query("set application_name = 'first'; set role visitor; reset role");
  await first.query('prepare leftover as select 1; create temp table leftover (id int)');
  await first.query('select pg_advisory_lock(7)');
  await first.query("begin; set local role visitor; select set_config('idempotency.attempt', 'x', true)");
  await first.query('reset role; insert into notes (id) values (50)');
  cut(first);

  await withClient(async (client) => {
    const { rows } = await client.query(
      `select (select count(*)::int from notes where id = 50) as notes, current_user::text as "user",
         current_setting('application_name') as name, current_setting('idempotency.attempt', true) as attempt,
         (select count(*)::int from pg_prepared_statements where name = 'leftover') as prepared,
         (select count(*)::int from pg_locks where locktype = 'advisory') as locks,
         to_regclass('leftover') as temporary`,
    );
    expect(rows).toEqual([
      { notes: 0, user: 'postgres', name: '', attempt: '', prepared: 0, locks: 0, temporary: null },
    ]);
    expect(await client.query('commit')).toMatchObject({ command: 'COMMIT' });
  });
});

it('runs nothing that a connection still had under way when it was cut', async () => {
  const first = await connect({ pipeline: true });
  const late = Promise.allSettled([
    first.query('select 1'),
    first.query('insert into notes (id) values (60)'),
    first.query('insert into notes (id) values (61)'),
  ]);
  cut(first);
  expect(await late).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }, { status: 'rejected' }]);
  expect(await countOf(60, 61)).toBe(0);
});

it('lets a connection that says goodbye finish what it sent', async () => {
  const connection = await rawConnection(database.poolConfig);
  const answered = heard(connection, 'INSERT 0 1');
  const closed = new Promise((resolve) => connection.once('close', resolve));
  const terminate = Buffer.from([0x58, 0, 0, 0, 4]);
  connection.end(Buffer.concat([simpleQuery('insert into notes (id) values (65)'), terminate]));
  await closed;
  await answered;
  expect(await countOf(65, 65)).toBe(1);
});

it('undoes a statement whose Sync never came', async () => {
  const connection = await rawConnection(database.poolConfig);
  const done = heard(connection, 'INSERT 0 1');
  connection.write(parseBindExecute('insert into notes (id) values (70)'));
  await done;
  connection.destroy();
  expect(await countOf(70, 70)).toBe(0);
});

it('wakes a session that a cut connection left waiting for a Sync after an error', async () => {
  const connection = await rawConnection(database.poolConfig);
  const failed = heard(connection, '22012');
  connection.write(parseBindExecute('select 1 / 0'));
  await failed;
  connection.destroy();
  expect(await countOf(70, 70)).toBe(0);
});

it('lets a second connection wait until the first has ended, no longer than its own timeout', async () => {
  const first = await connect();
  await first.query('begin');
  await expect(connect({ connectionTimeoutMillis: 20 })).rejects.toThrow('timeout');
  const second = connect();
  await first.query('insert into notes (id) values (80)');
  await first.query('commit');
  await first.end();
  const client = await second;
  expect((await client.query('select id from notes where id = 80')).rows).toEqual([{ id: 80 }]);
  await client.end();
});

it('serves many callers through one pool, and replaces a connection that was cut', async () => {
  const pool = new Pool(database.poolConfig);
  const ask = async (n: number): Promise<number> => (await pool.query('select $1::int as n', [n])).rows[0].n;
  const numbers = Array.from({ length: 50 }, (_, n) => n);
  expect(await Promise.all(numbers.map(ask))).toEqual(numbers);
  expect(pool.totalCount).toBe(1);

  const client = await pool.connect();
  client.on('error', () => {});
  await client.query('begin; insert into notes (id) values (90)');
  const waiting = ask(7);
  cut(client);
  client.release(true);
  expect(await waiting).toBe(7);
  await pool.end();
  expect(await countOf(90, 90)).toBe(0);
});

it('leaves timers their turn while somebody asks without pause', async () => {
  await withClient(async (client) => {
    const alarm = AbortSignal.timeout(1);
    for (let asked = 0; !alarm.aborted; asked += 1) {
      await client.query('select 1');
      expect(asked).toBeLessThan(5000);
    }
  });
});

it('is not misled by the environment of pg', async () => {
  const before = { ...process.env };
  Object.assign(process.env, { PGSSLMODE: 'require', PGHOST: '/nowhere', PGUSER: 'nobody', PGPORT: '1' });
  try {
    expect(await countOf(0, -1)).toBe(0);
  } finally {
    process.env = before;
  }
});

async function connect(config: ClientConfig = {}): Promise<Client> {
  const client = new Client({ ...database.poolConfig, ...config });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function withClient<T>(work: (client: Client) => Promise<T>, config: ClientConfig = {}): Promise<T> {
  const client = await connect(config);
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function countOf(from: number, to: number): Promise<number> {
  return withClient(async (client) => {
    const sql = 'select count(*)::int as count from notes where id between $1 and $2';
    return (await client.query(sql, [from, to])).rows[0].count as number;
  });
}
