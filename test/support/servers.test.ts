import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startChild } from './child.ts';
import { createDatabase } from './database.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';
import { startRedis } from './redis-server.ts';
import { eventually } from './signal.ts';

describe('a database of a test', () => {
  it('is empty, and its own', async () => {
    const [one, two] = await Promise.all([createDatabase(), createDatabase()]);
    await query(one.url, 'create table mine (id integer)');
    await expect(query(two.url, 'select * from mine')).rejects.toMatchObject({ code: '42P01' });
    await one.drop();
    await expect(query(one.url, 'select 1')).rejects.toMatchObject({ code: '3D000' });
  });

  it('has the tables of the library where that is asked for, also by many at once', async () => {
    const databases = await Promise.all(Array.from({ length: 5 }, () => createDatabase({ migrated: true })));
    for (const { url } of databases) {
      expect(
        await query(url, "select schemaname from pg_tables where schemaname = 'graphql_idempotency'"),
      ).not.toEqual([]);
    }
  });
});

describe('a private Postgres', () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgres({ settings: { work_mem: '5MB' } });
    await query(server.url, 'create table kept (id integer)');
  });

  afterAll(() => server.remove());

  it('takes settings', async () => {
    expect(await query(server.url, 'show work_mem')).toEqual([{ work_mem: '5MB' }]);
  });

  it.each(['stop', 'stop at once', 'kill'])(
    'comes back on the same port with its data after %s',
    async (how) => {
      const id = randomBytes(3).readUIntBE(0, 3);
      await query(server.url, `insert into kept values (${id})`);
      const client = new pg.Client({ connectionString: server.url });
      const gone = new Promise((resolve) => client.on('error', resolve));
      await client.connect();
      if (how === 'kill') await server.kill();
      else await server.stop(how === 'stop' ? 'fast' : 'immediate');
      await gone;
      await expect(query(server.url, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      await server.start();
      expect(await query(server.url, `select * from kept where id = ${id}`)).toEqual([{ id }]);
    },
  );

  it('has a standby that follows, and that can be promoted when the primary is killed', async () => {
    const standby = await server.startStandby();
    expect(await query(standby.url, 'select pg_is_in_recovery() as standby')).toEqual([{ standby: true }]);
    await query(server.url, 'insert into kept values (-1)');
    await eventually(async () => (await query(standby.url, 'select * from kept where id = -1')).length === 1);
    await server.kill();
    await query(standby.url, 'select pg_promote()');
    await query(standby.url, 'insert into kept values (-2)');
    await standby.remove();
    await server.start();
  });
});

describe('a private Redis', () => {
  it('freezes, thaws, dies and comes back empty on the same port', async () => {
    const server = await startRedis({ settings: { maxmemory: '3mb' } });
    const client = new Redis(server.url, {
      commandTimeout: 1000,
      maxRetriesPerRequest: 0,
      retryStrategy: () => 20,
    });
    client.on('error', () => undefined);
    expect(await client.config('GET', 'maxmemory')).toEqual(['maxmemory', String(3 * 1024 * 1024)]);
    await client.set('a', '1');
    server.freeze();
    await expect(client.get('a')).rejects.toThrow(/timed out/);
    server.thaw();
    expect(await eventually(async () => (await client.get('a')) ?? undefined)).toBe('1');
    await server.kill();
    await expect(client.get('a')).rejects.toThrow();
    await server.start();
    expect(await eventually(async () => (await client.dbsize()) === 0)).toBe(true);
    client.disconnect();
    await server.remove();
  });
});

describe('the servers of a test process', () => {
  it.each(['SIGKILL', 'SIGINT'] as const)(
    'end with it, and their folders go, when it ends by %s',
    async (signal) => {
      const child = startChild({ file: new URL('./fixtures/server-owner.ts', import.meta.url) });
      const started = JSON.parse(await child.line(/^\{/, { timeoutMs: 20_000 })) as {
        pid: number;
        folders: string[];
      };
      expect(started.folders.length).toBeGreaterThanOrEqual(2);
      expect(started.folders.every((folder) => existsSync(folder))).toBe(true);
      await child.kill(signal);
      await eventually(() => started.folders.every((folder) => !existsSync(folder)), { timeoutMs: 15_000 });
    },
  );
});

async function query(connectionString: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString });
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
