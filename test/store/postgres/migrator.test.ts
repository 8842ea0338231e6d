/** Migrations apply once, whoever asks and however often, and never to a schema that is not the library's. */

import pg from 'pg';
import { migrate } from 'graphql-idempotency/migrate';
import { createIdempotency } from 'graphql-idempotency';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startChild } from '../../support/child.ts';
import { createDatabase } from '../../support/database.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import { within } from '../../support/signal.ts';
import { connect, refusalOf } from './connection.ts';
import { claim, complete } from './functions.ts';
import { dumpSchema } from './schema-dump.ts';

const SCHEMA = 'graphql_idempotency';
const ALL = ['0001_record', '0002_lease', '0003_outbox', '0004_inbox'];

/** Starts the library on a database without migrating it, and says how that ended. */
async function startupRefusal(url: string, schema: string): Promise<Error> {
  const idempotency = createIdempotency({
    scope: () => 'alice',
    postgres: url,
    redis: false,
    schema,
    logger,
  });
  onTestFinished(() => idempotency.close());
  return refusalOf(idempotency.open());
}

const logger = { info: () => {}, warn: () => {}, error: () => {} };

describe('at once, on an empty database', () => {
  test('twenty connections: exactly one applies, and all find a schema that works', async () => {
    const { url } = await createDatabase();
    const results = await Promise.all(Array.from({ length: 20 }, () => migrate({ connectionString: url })));
    const applied = results.map((result) => result.applied).filter((names) => names.length > 0);
    expect(applied).toEqual([ALL]);
    const { rows } = await (await connect(url)).query(`select version, name from ${SCHEMA}.migration`);
    expect(rows).toEqual(ALL.map((name, index) => ({ version: index + 1, name })));
  });

  test('several processes: exactly one applies', async () => {
    const { url } = await createDatabase();
    const children = Array.from({ length: 3 }, () =>
      startChild({ file: 'src/cli/main.ts', args: ['migrate', '--url', url] }),
    );
    const exits = await Promise.all(children.map(({ exited }) => exited));
    expect(exits.map(({ code }) => code)).toEqual([0, 0, 0]);
    const said = children.map((child) => child.output());
    expect(said.filter((output) => output.includes('applied 0001_record'))).toHaveLength(1);
    expect(said.filter((output) => output.includes('is up to date'))).toHaveLength(2);
  });

  test('several schemas of one database: each is applied once', async () => {
    const { url } = await createDatabase();
    const schemas = ['a', 'b', 'a', 'b', 'a'];
    const results = await Promise.all(schemas.map((schema) => migrate({ connectionString: url, schema })));
    const applied = results.filter((result) => result.applied.length > 0).map(({ schema }) => schema);
    expect(applied.toSorted()).toEqual(['a', 'b']);
  });
});

test('a migrated schema is left as it is', async () => {
  const { url } = await createDatabase({ migrated: true });
  const client = await connect(url);
  const state = async () => [
    await dumpSchema(client, SCHEMA),
    (await client.query(`select * from ${SCHEMA}.store`)).rows,
    (await client.query(`select * from ${SCHEMA}.migration`)).rows,
  ];
  const before = await state();
  expect(await migrate({ connectionString: url })).toEqual({ schema: SCHEMA, applied: [] });
  expect(await state()).toEqual(before);
});

test('a pool migrates too, and stays open', async () => {
  const { url } = await createDatabase();
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  onTestFinished(() => pool.end());
  expect((await migrate({ pool })).applied).toEqual(ALL);
  expect((await pool.query(`select count(*)::int as n from ${SCHEMA}.record`)).rows).toEqual([{ n: 0 }]);
});

test('a connection that is lost in the middle fails the migration and changes nothing', async () => {
  const { url } = await createDatabase();
  const proxy = await startPostgresProxy({ target: url });
  onTestFinished(() => proxy.close());
  const pool = new pg.Pool({ connectionString: proxy.url, max: 1 });
  onTestFinished(() => pool.end());
  for (const options of [{ connectionString: proxy.url }, { pool }]) {
    const cut = proxy.on({ from: 'client', sql: /^commit/ }, 'cut-before');
    await refusalOf(within(migrate(options)));
    await cut.matched;
  }
  const { rows } = await (await connect(url)).query('select to_regnamespace($1) as found', [SCHEMA]);
  expect(rows).toEqual([{ found: null }]);
  expect((await migrate({ pool })).applied).toEqual(ALL);
});

describe('a schema can have any name', () => {
  const names = [
    'Upper And Lower',
    'with "quotes" and \'apostrophes\'',
    'select',
    'dot.ted',
    'back\\slash',
    '$1 $$ $tag$',
    ':"schema"',
    '%I %s',
    'ünïcödé 🦊',
    '; drop table payments; --',
  ];
  test.each(names)('%s', async (schema) => {
    const { url } = await createDatabase();
    const client = await connect(url);
    await client.query('create table payments (id integer)');
    expect((await migrate({ connectionString: url, schema })).applied).toEqual(ALL);
    expect((await migrate({ connectionString: url, schema })).applied).toEqual([]);

    const { rows } = await client.query(
      `select nspname from pg_namespace where nspname !~ '^pg_' and nspname not in ('public', 'information_schema')`,
    );
    expect(rows).toEqual([{ nspname: schema }]);
    await client.query('select from payments');
    await client.query('begin');
    const identity = Buffer.alloc(32, 1);
    await claim(client, identity, { schema });
    await complete(client, identity, { schema });
    await client.query('commit');

    const idempotency = createIdempotency({ scope: () => 'a', postgres: url, redis: false, schema, logger });
    onTestFinished(() => idempotency.close());
    await idempotency.open();
  });
});

test('a schema that a newer version has migrated is refused, and not touched', async () => {
  const { url } = await createDatabase({ migrated: true });
  const client = await connect(url);
  await client.query(`insert into ${SCHEMA}.migration (version, name) values (99, '0099_future')`);
  const before = await dumpSchema(client, SCHEMA);
  const refusal = await refusalOf(migrate({ connectionString: url }));
  expect(refusal.name).toBe('ConfigurationError');
  expect(refusal.message).toMatch(/at migration 99.*newer version/);
  expect(await dumpSchema(client, SCHEMA)).toBe(before);
});

describe('a schema that is not the library’s', () => {
  const foreign = {
    'another tool’s migration table': 'create table s.migration (id integer primary key, batch integer)',
    'another tool’s empty migration table with a version': 'create table s.migration (version integer)',
    'another tool’s migration table with dates for versions':
      'create table s.migration (version bigint); insert into s.migration values (20260101120000)',
    'another tool’s migration table with names for versions': `create table s.migration (version text); insert into s.migration values ('first')`,
    'a table of the same name': 'create table s.record (id integer primary key)',
    'a type of the same name': `create type s.record_mode as enum ('vinyl', 'tape')`,
    'a function of the same name and arguments':
      'create function s.claim(bytea, bigint, text, integer, integer) returns int language sql as $$ select 1 $$',
  };
  test.each(Object.entries(foreign))('with %s is refused, and not touched', async (_, statement) => {
    const { url } = await createDatabase();
    const client = await connect(url);
    await client.query(`create schema s; ${statement}`);
    const before = await dumpSchema(client, 's');
    const refusal = await refusalOf(migrate({ connectionString: url, schema: 's' }));
    expect(refusal.name).toBe('ConfigurationError');
    expect(refusal.message).toContain('The schema "s"');
    expect(await dumpSchema(client, 's')).toBe(before);
    expect((await startupRefusal(url, 's')).message).toContain('The schema "s"');
  });

  const broken = {
    'the migrations’ record of themselves': 'truncate graphql_idempotency.migration',
    'the row of the store': 'delete from graphql_idempotency.store',
    'the table of records': 'drop table graphql_idempotency.record cascade',
    'the function claim': 'drop function graphql_idempotency.claim',
    'the function complete': 'drop function graphql_idempotency.complete',
  };
  test.each(Object.entries(broken))('or has lost %s, stops the server at startup', async (_, statement) => {
    const { url } = await createDatabase({ migrated: true });
    await (await connect(url)).query(statement);
    const refusal = await startupRefusal(url, SCHEMA);
    expect(refusal.name).toBe('ConfigurationError');
    expect(refusal.message).toContain(`The schema "${SCHEMA}"`);
  });
});
