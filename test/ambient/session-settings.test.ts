/** What a library has set on a connection of its own holds inside an attempt, too, and only there. */

import type { Client } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Reply, Service } from '../support/service.ts';

let service: Service;
let url: string;
let act: (call: PayCall) => unknown;
let keys = 0;

beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
  service = await startService({ databaseUrl: url, options: { poolSize: 1 }, pay: (call) => act(call) });
  await service.idempotency.pool.query('create schema tenant');
});
afterAll(() => service.stop());

async function connected(): Promise<Client> {
  const client = new service.idempotency.driver.Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

function inside(work: (call: PayCall) => Promise<unknown>): Promise<Reply> {
  act = async (call) => {
    await work(call);
    return { id: '1', amount: 1 };
  };
  return service.send({ key: `settings-${(keys += 1)}` });
}

const show = async (
  client: { query(text: string): Promise<{ rows: object[] }> },
  name: string,
): Promise<unknown> => (await client.query(`select current_setting('${name}', true) as value`)).rows[0];

test('the schema, the time zone and what else was set when the connection was opened', async () => {
  const client = await connected();
  await client.query("SET standard_conforming_strings=on; SET TIME ZONE INTERVAL '+05:30' HOUR TO MINUTE;");
  await client.query('set search_path to tenant, public');
  await client.query(`SET SESSION "app.user" = 'se;ven'`);
  const outside = await Promise.all(
    ['search_path', 'TimeZone', 'app.user'].map((name) => show(client, name)),
  );
  const reply = await inside(async () => {
    const seen = [];
    for (const name of ['search_path', 'TimeZone', 'app.user']) seen.push(await show(client, name));
    expect(seen).toEqual(outside);
  });
  expect(reply.code).toBeUndefined();
  expect(outside).toEqual([{ value: 'tenant, public' }, { value: '<+05:30>-05:30' }, { value: 'se;ven' }]);
  // The next attempt on the same connection starts anew.
  await inside(async ({ tx }) => {
    expect(await show(tx, 'search_path')).toEqual({ value: '"$user", public' });
    expect(await show(tx, 'app.user')).not.toEqual({ value: 'se;ven' });
  });
});

test('what is set inside the attempt holds from there on, also when a part is rolled back', async () => {
  const client = await connected();
  const reply = await inside(async () => {
    await client.query('begin');
    await client.query('select 1');
    await client.query('rollback');
    await client.query('set search_path to tenant');
    await client.query('begin');
    expect(await show(client, 'search_path')).toEqual({ value: 'tenant' });
    await client.query('savepoint own');
    await client.query('rollback to own');
    expect(await show(client, 'search_path')).toEqual({ value: 'tenant' });
    await client.query('rollback');
    expect(await show(client, 'search_path')).toEqual({ value: 'tenant' });
    await client.query('reset search_path');
    expect(await show(client, 'search_path')).toEqual({ value: '"$user", public' });
  });
  expect(reply.code).toBeUndefined();
  expect(await show(client, 'search_path')).toEqual({ value: '"$user", public' });
});

test('a comment behind a setting takes no other one with it', async () => {
  const client = await connected();
  await client.query('set search_path to tenant -- of this customer');
  await client.query(`set "app.user" = 'seven'`);
  const reply = await inside(async () => {
    expect(await show(client, 'search_path')).toEqual({ value: 'tenant' });
    expect(await show(client, 'app.user')).toEqual({ value: 'seven' });
  });
  expect(reply.code).toBeUndefined();
});

test('each of two clients has its own', async () => {
  const [first, second] = [await connected(), await connected()];
  await first.query('set search_path to tenant');
  await second.query('set search_path to public');
  const reply = await inside(async () => {
    for (const round of [1, 2]) {
      expect([round, await show(first, 'search_path')]).toEqual([round, { value: 'tenant' }]);
      expect([round, await show(second, 'search_path')]).toEqual([round, { value: 'public' }]);
    }
  });
  expect(reply.code).toBeUndefined();
});

test('a role, and its end', async () => {
  await service.idempotency.pool.query('create role clerk');
  const client = await connected();
  onTestFinished(async () => void (await service.idempotency.pool.query('drop role clerk')));
  const me = (await client.query('select current_user::text as me')).rows[0];
  await client.query('set role clerk');
  const reply = await inside(async () => {
    expect((await client.query('select current_user::text as me')).rows).toEqual([{ me: 'clerk' }]);
    await client.query('RESET ROLE');
    expect((await client.query('select current_user::text as me')).rows).toEqual([me]);
    await client.query('set role clerk');
    await client.query('discard all');
    expect((await client.query('select current_user::text as me')).rows).toEqual([me]);
    await client.query('set role clerk');
  });
  // The record is written under the claim's own role.
  expect(reply.code).toBeUndefined();
});
