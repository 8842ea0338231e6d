/** The migration files are plain SQL for psql, and depend on nothing that a session may have set. */

import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import { migrate } from 'graphql-idempotency/migrate';
import { expect, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import { connect, quoted } from './connection.ts';
import { claim, complete } from './functions.ts';
import { dumpSchema } from './schema-dump.ts';

const folder = fileURLToPath(new URL('../../../schema/postgres/', import.meta.url));
const files = readdirSync(folder)
  .filter((file) => file.endsWith('.sql'))
  .toSorted();
const schema = 'by "hand" \'s';

/** Fills in the variable as psql does: outside of literals, quoted names, dollar quotes and comments. */
function byHand(sql: string, name: string): string {
  const skipped = /'(?:[^']|'')*'|(\$\w*\$)[\s\S]*?\1|--[^\n]*|"[^"]*"/.source;
  return sql.replaceAll(new RegExp(`:'schema'|${skipped}|:"schema"`, 'g'), (found) => {
    if (found === ":'schema'") return `'${name.replaceAll("'", "''")}'`;
    return found === ':"schema"' ? quoted(name) : found;
  });
}

async function runByHand(client: Client, file: string): Promise<void> {
  await client.query('begin');
  await client.query(byHand(readFileSync(`${folder}${file}`, 'utf8'), schema));
  await client.query('commit');
}

async function hasPsql(): Promise<boolean> {
  return promisify(execFile)('psql', ['--version']).then(
    () => true,
    () => false,
  );
}

test('run by hand they make what the migrator makes, and the migrator finds nothing left to do', async () => {
  const [own, migrated] = await Promise.all([createDatabase(), createDatabase()]);
  const client = await connect(own.url);
  for (const file of files) {
    // Where psql is not installed, its substitution is done here; what is asserted is the same.
    if (await hasPsql()) {
      const args = [
        '-X',
        '-q',
        '-v',
        'ON_ERROR_STOP=1',
        '-1',
        '-v',
        `schema=${schema}`,
        '-f',
        `${folder}${file}`,
      ];
      await promisify(execFile)('psql', [own.url, ...args]);
    } else {
      await runByHand(client, file);
    }
  }
  expect((await migrate({ connectionString: own.url, schema })).applied).toEqual([]);
  expect((await migrate({ connectionString: migrated.url, schema })).applied).toHaveLength(files.length);
  const expected = await dumpSchema(await connect(migrated.url), schema);
  expect(await dumpSchema(client, schema)).toBe(expected);

  const again = await createDatabase();
  const other = await connect(again.url);
  for (const file of files) await runByHand(other, file);
  expect(await dumpSchema(other, schema)).toBe(expected);
});

test('they are applied whole or not at all', async () => {
  const { url } = await createDatabase();
  const client = await connect(url);
  await client.query(
    `create schema ${quoted(schema)}; create type ${quoted(schema)}.record_outcome as enum ()`,
  );
  const before = await dumpSchema(client, schema);
  await expect(runByHand(client, files[0]!)).rejects.toThrow(/already exists/);
  await client.query('rollback');
  expect(await dumpSchema(client, schema)).toBe(before);
});

test('every statement names the schema: nothing depends on the search path, and nothing leaves the schema', async () => {
  const { url } = await createDatabase();
  const client = await connect(url);
  // Namesakes in front of everything, and a path on which nothing else could be made.
  await client.query(`create schema decoy;
    create table decoy.record (wrong text); create table decoy.store (wrong text); create table decoy.migration (wrong text);
    create type decoy.record_mode as enum (); create type decoy.record_state as enum (); create type decoy.record_outcome as enum ()`);
  const decoys = await dumpSchema(client, 'decoy');
  await client.query('set search_path = decoy');
  for (const file of files) await runByHand(client, file);
  expect(await dumpSchema(client, 'decoy')).toBe(decoys);

  const clean = await createDatabase();
  await migrate({ connectionString: clean.url, schema });
  await client.query('reset search_path');
  expect(await dumpSchema(client, schema)).toBe(await dumpSchema(await connect(clean.url), schema));
  const { rows } = await client.query(
    `select relname from pg_class where relnamespace = 'public'::regnamespace`,
  );
  expect(rows).toEqual([]);
});

test('the functions read and write their own schema, whatever the caller’s search path', async () => {
  const { url } = await createDatabase();
  await migrate({ connectionString: url, schema });
  const client = await connect(url);
  await client.query(`create schema decoy; create table decoy.record (like ${quoted(schema)}.record)`);
  // A temporary table stands in front even of the path.
  await client.query(`create temporary table record (like ${quoted(schema)}.record)`);
  await client.query('set search_path = decoy, pg_temp, public');
  const identity = Buffer.alloc(32, 7);
  await client.query('begin');
  await claim(client, identity, { schema });
  await complete(client, identity, { schema });
  await client.query('commit');
  const count = async (table: string) => (await client.query(`select from ${table}`)).rowCount;
  expect([
    await count(`${quoted(schema)}.record`),
    await count('decoy.record'),
    await count('pg_temp.record'),
  ]).toEqual([1, 0, 0]);
});
