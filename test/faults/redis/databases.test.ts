/** Several databases behind one Redis: none reads what another wrote, copies included. */

import pg from 'pg';
import { beforeAll, beforeEach, expect, inject, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import type { Service } from '../../support/service.ts';
import { executes, newKey, replays, startRedisCase, watchRedisEvents } from './redis-case.ts';
import type { RedisCase } from './redis-case.ts';

const events = watchRedisEvents();
let setting: RedisCase;

beforeAll(async () => {
  setting = await startRedisCase();
});
beforeEach(async () => {
  await setting.peek.flushall();
  events.clear();
});

async function administer(...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: inject('databaseUrl') });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

async function query(databaseUrl: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query(sql);
  await client.end();
  return rows;
}

const nameOf = (databaseUrl: string): string => new URL(databaseUrl).pathname.slice(1);

test('two databases that share a Redis and its prefix share no entries', async () => {
  const [here, there] = [await createDatabase({ migrated: true }), await createDatabase({ migrated: true })];
  const one = await setting.start({ databaseUrl: here.url });
  const two = await setting.start({ databaseUrl: there.url });
  const key = newKey();
  const first = await executes(one, { key });
  await setting.written(1);
  const second = await executes(two, { key, variables: { note: 'there' } });
  await setting.written(2);
  await replays(one, { key }, first);
  await replays(two, { key, variables: { note: 'there' } }, second);
  expect(events.names.filter((event) => event === 'hit')).toHaveLength(2);
});

test('neither do two schemas of one database', async () => {
  const { url } = await createDatabase();
  const one = await setting.start({ databaseUrl: url, options: { schema: 'one' } });
  const two = await setting.start({ databaseUrl: url, options: { schema: 'two' } });
  const key = newKey();
  await executes(one, { key });
  await setting.written(1);
  await executes(two, { key });
  expect(await setting.written(2)).toHaveLength(2);
});

test('a clone, with the same store id and secret, executes what its original has done since', async () => {
  const original = await createDatabase({ migrated: true });
  const clone = { url: original.url.replace(nameOf(original.url), `${nameOf(original.url)}_clone`) };
  const key = newKey();
  await administer(`create database "${nameOf(clone.url)}" template "${nameOf(original.url)}"`);
  const store = 'select store_id, envelope_secret from graphql_idempotency.store';
  expect(await query(clone.url, store)).toEqual(await query(original.url, store));

  const before: Service = await setting.start({ databaseUrl: original.url });
  const first = await executes(before, { key });
  await setting.written(1);
  const copy = await setting.start({ databaseUrl: clone.url });
  const own = await executes(copy, { key });
  await setting.written(2);
  events.clear();
  await replays(before, { key }, first);
  await replays(copy, { key }, own);
  expect(events.lookups).toEqual(['hit', 'hit']);
});

test('a database that was dropped and made again under its name starts anew', async () => {
  const { url } = await createDatabase({ migrated: true });
  const name = nameOf(url);
  const template = `${name}_backup`;
  await administer(`create database "${template}" template "${name}"`);
  const before = await setting.start({ databaseUrl: url });
  const key = newKey();
  await executes(before, { key });
  await setting.written(1);
  // A restored backup: the same name and the same store id, without the record.
  await administer(
    `drop database "${name}" with (force)`,
    `create database "${name}" template "${template}"`,
  );
  const restored = await setting.start({ databaseUrl: url });
  await executes(restored, { key });
});
