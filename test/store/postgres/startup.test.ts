/** A database that cannot hold records stops the server when it starts, with what to do about it. */

import { execFileSync } from 'node:child_process';
import { createIdempotency } from 'graphql-idempotency';
import type { IdempotencyOptions } from 'graphql-idempotency';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startChild } from '../../support/child.ts';
import { createDatabase } from '../../support/database.ts';
import { freePort } from '../../support/free-port.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import { startService } from '../../support/service.ts';
import { within } from '../../support/signal.ts';
import { connect, refusalOf } from './connection.ts';

const SCHEMA = 'graphql_idempotency';
const quiet = { info: () => {}, warn: () => {}, error: () => {} };

/** Opens the library as a server that starts does, and returns what stops it. */
async function refusal(postgres: string, options: Partial<IdempotencyOptions<object>> = {}): Promise<Error> {
  const idempotency = createIdempotency({
    scope: () => 'alice',
    postgres,
    redis: false,
    logger: quiet,
    ...options,
  });
  onTestFinished(() => idempotency.close());
  const error = await refusalOf(within(idempotency.open()));
  expect(error.name).toBe('ConfigurationError');
  return error;
}

describe('a schema that is missing', () => {
  test.each(['graphql_idempotency', "it's my schema"])(
    '%s is named, with a command that makes it',
    async (schema) => {
      const { url } = await createDatabase();
      const { message } = await refusal(url, { schema });
      expect(message).toContain(`The schema "${schema}" does not hold the tables`);
      expect(message).toMatch(/idempotency\.migrate\(\).*migrate: true/);

      // What stands between "Run: npx graphql-idempotency" and the gap is what a shell is given.
      const [, command] = /Run: npx graphql-idempotency (.*?) {3}/.exec(message) ?? [];
      const args = shellWords(command!);
      const child = startChild({ file: 'src/cli/main.ts', args, env: { DATABASE_URL: url } });
      expect(await child.exited).toMatchObject({ code: 0 });
      const idempotency = createIdempotency({
        scope: () => 'a',
        postgres: url,
        redis: false,
        schema,
        logger: quiet,
      });
      onTestFinished(() => idempotency.close());
      await idempotency.open();
    },
  );

  test('stops an Apollo Server', async () => {
    const { url } = await createDatabase();
    const error = await refusalOf(startService({ databaseUrl: url, options: { migrate: false } }));
    expect(error.message).toContain('npx graphql-idempotency migrate');
  });

  test('is made at startup where the option says so, and by migrate() before it', async () => {
    const [one, two] = await Promise.all([createDatabase(), createDatabase()]);
    const options = { scope: () => 'alice', redis: false as const, logger: quiet };
    const automatic = createIdempotency({ ...options, postgres: one.url, migrate: true });
    const explicit = createIdempotency({ ...options, postgres: two.url });
    onTestFinished(async () => void (await Promise.all([automatic.close(), explicit.close()])));
    await automatic.open();
    expect(await explicit.migrate()).toEqual({
      schema: SCHEMA,
      applied: ['0001_record', '0002_lease', '0003_outbox', '0004_inbox'],
    });
    await explicit.open();
  });
});

/** Splits a command into words as a shell does. */
function shellWords(command: string): string[] {
  return execFileSync('sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);
}

test('a schema of an older version is named, with the command', async () => {
  const { url } = await createDatabase({ migrated: true });
  await (await connect(url)).query(`delete from ${SCHEMA}.migration where version = 4`);
  expect((await refusal(url)).message).toMatch(
    /at migration 3, this version needs 4\. Run: npx graphql-idempotency migrate/,
  );
});

test('a schema of a newer version is refused, with migrate: true as well', async () => {
  const { url } = await createDatabase({ migrated: true });
  await (await connect(url)).query(`insert into ${SCHEMA}.migration (version, name) values (5, '0005_next')`);
  for (const migrate of [true, false]) {
    expect((await refusal(url, { migrate })).message).toMatch(
      /at migration 5, this version knows 4.*Upgrade with: npm install/,
    );
  }
});

test.each(['step', 'store', 'outbox'])(
  'the table %s must survive a crash: UNLOGGED is refused',
  async (table) => {
    const { url } = await createDatabase({ migrated: true });
    await (await connect(url)).query(`alter table ${SCHEMA}.${table} set unlogged`);
    const { message } = await refusal(url);
    expect(message).toContain(`The tables ${table} in schema "${SCHEMA}" are not durable`);
    expect(message).toContain('set logged');
  },
);

test('a Postgres older than 15 is refused', async () => {
  const { url } = await createDatabase({ migrated: true });
  const client = await connect(url);
  // No such server can be had here. A function of the test's own, which the search path finds first, answers
  // for it: what is asked and compared is the real thing.
  await client.query(`create function public.current_setting(text) returns text language sql as
    $$ select case when $1 = 'server_version_num' then '140012' else pg_catalog.current_setting($1) end $$`);
  await client.query(
    `do $$ begin execute format('alter database %I set search_path = public, pg_catalog', current_database()); end $$`,
  );
  expect((await refusal(url)).message).toMatch(/has version 14; 15 is the oldest that is supported/);
  await client.query('drop function public.current_setting(text)');
  const idempotency = createIdempotency({ scope: () => 'a', postgres: url, redis: false, logger: quiet });
  onTestFinished(() => idempotency.close());
  await idempotency.open();
});

describe('a Postgres that is not there', () => {
  test.each([true, false])('refuses connections (migrate: %s)', async (migrate) => {
    const { message } = await refusal(`postgres://app@127.0.0.1:${await freePort()}/app`, { migrate });
    expect(message).toMatch(/^Postgres cannot be reached\. Check the database URL/);
  });

  test.each([true, false])('accepts a connection and says nothing (migrate: %s)', async (migrate) => {
    const { url } = await createDatabase({ migrated: true });
    const proxy = await startPostgresProxy({ target: url });
    onTestFinished(() => proxy.close());
    proxy.partition();
    const { message } = await refusal(proxy.url, { migrate, acquireTimeout: 100 });
    expect(message).toMatch(/^Postgres cannot be reached/);
  });

  test('answers the start of a session, and nothing after it', async () => {
    const { url } = await createDatabase({ migrated: true });
    const proxy = await startPostgresProxy({ target: url });
    onTestFinished(() => proxy.close());
    proxy.on({ from: 'client', type: 'Query' }, 'hold');
    expect((await refusal(proxy.url, { claimTimeout: 100 })).message).toMatch(/^Postgres cannot be reached/);
  });

  test.each(['user', 'database'])('knows no such %s', async (part) => {
    const { url } = await createDatabase({ migrated: true });
    const wrong = new URL(url);
    if (part === 'user') wrong.username = 'nobody_of_that_name';
    else wrong.pathname = '/no_database_of_that_name';
    for (const migrate of [true, false]) {
      expect((await refusal(wrong.href, { migrate })).message).toMatch(/^Postgres cannot be reached/);
    }
  });
});

test('a start that failed can be tried again', async () => {
  const { url } = await createDatabase();
  const idempotency = createIdempotency({ scope: () => 'alice', postgres: url, redis: false, logger: quiet });
  onTestFinished(() => idempotency.close());
  await refusalOf(idempotency.open());
  await refusalOf(idempotency.open());
  await idempotency.migrate();
  await idempotency.open();
});

test('a process whose server failed to start ends by itself', async () => {
  const { url } = await createDatabase();
  const child = startChild({
    file: 'test/store/postgres/fixtures/server.ts',
    env: { IDEMPOTENCY_DATABASE_URL: url, IDEMPOTENCY_REDIS_URL: `redis://127.0.0.1:${await freePort()}` },
  });
  expect(await within(child.exited, { timeoutMs: 25_000, what: 'the end of the process' })).toMatchObject({
    code: 7,
  });
  expect(child.output()).toContain('npx graphql-idempotency migrate');
});
