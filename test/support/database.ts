/** A fresh database for each test file, cloned from a template, and a part of the shared Redis to itself. */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { inject } from 'vitest';

/** Options of `createDatabase`. */
export interface DatabaseOptions {
  /** Whether the library's tables are in it. @defaultValue false */
  readonly migrated?: boolean;
}

/** A database that nobody else uses. */
export interface TestDatabase {
  readonly url: string;
  /** Drops it and ends its connections. The end of the test run does so too. */
  drop(): Promise<void>;
}

/** Creates a database on the shared Postgres. */
export async function createDatabase({ migrated = false }: DatabaseOptions = {}): Promise<TestDatabase> {
  const name = `${inject('databasePrefix')}${randomBytes(6).toString('hex')}`;
  const template = migrated ? await migratedTemplate() : 'template0';
  await asAdministrator((client) => createFrom(client, name, template));
  return {
    url: urlOf(name),
    drop: () =>
      asAdministrator(async (client) => {
        await connectionsEnded(client, name);
        await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
      }),
  };
}

/** The shared Redis. It is everybody's: to flush, freeze or fill one, start your own with `startRedis`. */
export function redisUrl(): string {
  return inject('redisUrl');
}

/** A prefix for keys in the shared Redis that no other test uses. */
export function redisPrefix(): string {
  return `test:${randomBytes(6).toString('hex')}:`;
}

/**
 * Waits for those that are ending, but not for those that a test has left open. A pool that has been closed may have
 * connections yet that have not heard of it, and one that is cut then fails the test run by an error that nobody hears.
 */
async function connectionsEnded(client: pg.Client, database: string): Promise<void> {
  for (let tries = 0; tries < 10; tries += 1) {
    const { rowCount } = await client.query('select 1 from pg_stat_activity where datname = $1', [database]);
    if (rowCount === 0) return;
    await sleep(20);
  }
}

/** The first to ask makes the template; it gets its name when it is complete, so nobody clones half of it. */
async function migratedTemplate(): Promise<string> {
  const template = `${inject('databasePrefix')}migrated`;
  await asAdministrator(async (client) => {
    // Test files ask at the same time, from several processes: the others wait here until it is there.
    await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [template]);
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [template]);
    if (rowCount === 1) return;
    const unfinished = `${template}_unfinished`;
    await client.query(`drop database if exists ${client.escapeIdentifier(unfinished)} with (force)`);
    await createFrom(client, unfinished, 'template0');
    // Only here, so that the tests of everything else don't depend on the migrator.
    const { migrate } = await import('../../src/migrate/migrate.ts');
    await migrate({ connectionString: urlOf(unfinished) });
    await client.query(
      `alter database ${client.escapeIdentifier(unfinished)} rename to ${client.escapeIdentifier(template)}`,
    );
  });
  return template;
}

async function createFrom(client: pg.Client, name: string, template: string): Promise<void> {
  await client.query(
    `create database ${client.escapeIdentifier(name)} template ${client.escapeIdentifier(template)}`,
  );
}

async function asAdministrator<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: inject('databaseUrl') });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function urlOf(database: string): string {
  const url = new URL(inject('databaseUrl'));
  url.pathname = `/${database}`;
  return url.href;
}
