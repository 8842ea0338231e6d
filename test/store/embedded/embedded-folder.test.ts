/** What the embedded database keeps in its folder, through kills and through failures of its own. */

import { access, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Pool } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openEmbeddedPostgres } from '../../../src/store/embedded/embedded-postgres.ts';
import type { EmbeddedPostgres } from '../../../src/store/embedded/embedded-postgres.ts';
import { startChild } from '../../support/child.ts';
import type { Child } from '../../support/child.ts';
import { eventually } from '../../support/signal.ts';

// The first start of a folder takes seconds: the tests share one, in their order.
const patience = { timeoutMs: 60_000 };
let parent: string;
let folder: string;

beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'embedded-folder-'));
  folder = join(parent, 'not', 'there');
});

afterAll(() => rm(parent, { recursive: true, force: true }));

it('survives being killed in the middle of its first start', { timeout: 120_000 }, async () => {
  const data = join(folder, 'data');
  // A start may be over before it is killed.
  await eventually(async () => {
    await rm(folder, { recursive: true, force: true });
    const child = opener();
    await eventually(async () => (await exists(data)) && (await readdir(data)).length > 0, patience);
    await child.kill('SIGKILL');
    return (await readdir(folder)).includes('initializing');
  }, patience);
  // The file that makes half a database look like a whole one.
  await writeFile(join(data, 'PG_VERSION'), '18\n');

  await withDatabase(async (client) => {
    await client.query('create table t (id int primary key)');
  });
  expect((await readdir(folder)).sort()).toEqual(['.gitignore', 'data', 'lock']);
});

it('keeps every commit that was acknowledged before a kill', { timeout: 120_000 }, async () => {
  let next = 0;
  for (const commits of [40, 80]) {
    const child = opener(String(next));
    await child.message((message) => message === 'opened', patience);
    const enough = next + commits;
    let acknowledged = next - 1;
    await child.message((message) => {
      if (typeof message === 'number') acknowledged = Math.max(acknowledged, message);
      return message === enough;
    }, patience);
    await expect(openEmbeddedPostgres({ folder })).rejects.toThrow(`in use by process ${child.pid}.`);
    await child.kill('SIGKILL');

    await withDatabase(async (client) => {
      const { rows } = await client.query<{ n: number }>('select n from acknowledged order by n');
      const numbers = rows.map(({ n }) => n);
      expect(numbers).toEqual(numbers.map((_, index) => index));
      expect(numbers.length).toBeGreaterThan(acknowledged);
      next = numbers.length;
    });
  }
});

it('ends a connection that Postgres ends, and is there for the next one', async () => {
  const database = await openEmbeddedPostgres({ folder });
  const first = await connect(database);
  await first.query('insert into t values (1)');
  await first.query("begin; set local idle_in_transaction_session_timeout = '1ms'; insert into t values (2)");
  await passes(200);
  await expect(first.query('select 1')).rejects.toMatchObject({ code: '25P03' });
  await expect(first.query('select 1')).rejects.toThrow();

  const second = await connect(database);
  expect((await second.query('select id from t')).rows).toEqual([{ id: 1 }]);
  await second.query('insert into t values (3)');
  await second.end();
  await database.close();
});

it('opens again when a connection was cut whose transaction Postgres had given up', async () => {
  const database = await openEmbeddedPostgres({ folder });
  const pool = new Pool(database.poolConfig);
  const client = await pool.connect();
  client.on('error', () => {});
  await client.query(
    "begin; set local idle_in_transaction_session_timeout = '1ms'; insert into t values (4)",
  );
  await passes(200);
  client.release(true);
  expect((await pool.query('select id from t order by id')).rows).toEqual([{ id: 1 }, { id: 3 }]);
  await pool.end();
  await database.close();
});

it('outlives a statement that breaks the engine itself', async () => {
  const database = await openEmbeddedPostgres({ folder });
  const first = await connect(database);
  await first.query(
    "create function forever(n int) returns int language plpgsql as 'begin return forever(n + 1); end'",
  );
  await first.query('insert into t values (5)');
  await expect(first.query('select forever(1)')).rejects.toThrow();

  const second = await connect(database);
  expect((await second.query('select id from t order by id')).rows).toEqual([
    { id: 1 },
    { id: 3 },
    { id: 5 },
  ]);
  await second.end();
  await database.close();
});

it('can be closed as soon as its pool has ended, though the connection is still saying goodbye', async () => {
  const own = await openEmbeddedPostgres({ folder });
  const pool = new Pool(own.poolConfig);
  await pool.query('select 1');
  const unheard: unknown[] = [];
  const onUncaught = (error: unknown): void => void unheard.push(error);
  process.on('uncaughtException', onUncaught);
  await pool.end();
  await own.close();
  process.off('uncaughtException', onUncaught);
  expect(unheard).toEqual([]);
});

it('cuts what is left and refuses new connections when it is closed', async () => {
  const own = await openEmbeddedPostgres({ folder });
  const client = await connect(own);
  const lost = new Promise((resolve) => client.on('error', resolve));
  await Promise.all([own.close(), own.close()]);
  await expect(lost).resolves.toMatchObject({ message: expect.stringContaining('terminated') });
  await expect(connect(own)).rejects.toThrow('closed');
});

it('says that a database cannot be opened, and unlocks its folder', async () => {
  const damaged = join(parent, 'damaged');
  await mkdir(join(damaged, 'data'), { recursive: true });
  await writeFile(join(damaged, 'data', 'PG_VERSION'), '9\n');
  for (let time = 0; time < 2; time += 1) {
    await expect(openEmbeddedPostgres({ folder: damaged })).rejects.toMatchObject({
      name: 'ConfigurationError',
      message: expect.stringMatching(/damaged cannot be opened.*DATABASE_URL/),
    });
  }
  expect(await readdir(join(damaged, 'data'))).toEqual(['PG_VERSION']);
});

it('names both ways out when PGlite is not installed, and leaves nothing behind', async () => {
  const elsewhere = join(parent, 'elsewhere');
  const child = startChild({
    file: new URL('./committing-process.ts', import.meta.url),
    args: [elsewhere],
    env: { NODE_OPTIONS: `--import ${new URL('./without-pglite.mjs', import.meta.url).href}` },
  });
  const said = await child.message((message) => message !== 'opening', patience);
  expect(said).toMatch(/^ConfigurationError: .*DATABASE_URL.*npm install @electric-sql\/pglite$/);
  expect(await exists(elsewhere)).toBe(false);
});

function opener(...args: string[]): Child {
  return startChild({
    file: new URL('./committing-process.ts', import.meta.url),
    args: [folder, ...args],
  });
}

async function withDatabase(work: (client: Client) => Promise<void>): Promise<void> {
  const database = await openEmbeddedPostgres({ folder });
  const client = await connect(database);
  await work(client);
  await client.end();
  await database.close();
}

async function connect(database: EmbeddedPostgres): Promise<Client> {
  const client = new Client(database.poolConfig);
  client.on('error', () => {});
  await client.connect();
  return client;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Postgres's own timer runs out, which nothing announces. */
function passes(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
