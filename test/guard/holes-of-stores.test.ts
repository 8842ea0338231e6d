/** What other libraries for idempotent requests got wrong about their stores, as properties of this one. */

import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase, redisPrefix, redisUrl } from '../support/database.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';
import { eventually } from '../support/signal.ts';
import { expectRefusal } from '../apollo/refusal.ts';

const prefix = redisPrefix();
let databaseUrl: string;
let own: pg.Pool;
let redis: Redis;
let service: Service;
let act: (call: PayCall) => unknown;
let keys = 0;
let key: string;

beforeAll(async () => {
  databaseUrl = (await createDatabase({ migrated: true })).url;
  own = new pg.Pool({ connectionString: databaseUrl });
  redis = new Redis(redisUrl());
  service = await startService({
    databaseUrl,
    redis: redisUrl(),
    options: { redisPrefix: prefix },
    pay: (call) => act(call),
  });
});
beforeEach(() => {
  key = `holes-${(keys += 1)}`;
  act = ({ insert }) => insert();
});
afterAll(async () => {
  await service.stop();
  await own.end();
  redis.disconnect();
});

const outcomeOf = ({ body }: Awaited<ReturnType<Service['send']>>): string | undefined =>
  body.extensions?.idempotency.pay.outcome;

test('H1: an effect whose record cannot be written is undone with it, and a retry executes', async () => {
  await own.query(`
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'disk of the record'; end $$;
    create trigger refuse before insert on graphql_idempotency.record execute function refuse();
  `);
  const before = await service.payments();
  try {
    const reply = await service.send({ key });
    expectRefusal(reply, 'TRANSACTION_ABORTED', 503);
    expect(JSON.stringify(reply.body)).not.toMatch(/disk/);
    expect(await service.payments()).toEqual(before);
  } finally {
    await own.query('drop function refuse() cascade');
  }
  expect(outcomeOf(await service.send({ key }))).toBe('executed');
  expect((await service.payments()).length).toBe(before.length + 1);
});

test('H12: a failure that may pass is not kept for the ttl', async () => {
  act = async ({ insert }) => {
    await insert();
    throw new Error('the bank did not answer');
  };
  expect((await service.send({ key })).body.data).toEqual({ pay: null });
  act = ({ insert }) => insert();
  expect(outcomeOf(await service.send({ key }))).toBe('executed');
});

test.each([null, undefined, 0, '', false, [], {}])('H13: an empty result is a result: %j', async (value) => {
  let ran = 0;
  act = () => {
    ran += 1;
    return value;
  };
  const first = await service.send({ key, query: 'mutation { pay(amount: 100) { note } }' });
  const again = await service.send({ key, query: 'mutation { pay(amount: 100) { note } }' });
  expect(again.body.data).toEqual(first.body.data);
  expect(outcomeOf(again)).toBe('replayed');
  expect(ran).toBe(1);
});

test('H16: with its store down the guard fails closed, at once', async () => {
  const proxy = await startPostgresProxy({ target: databaseUrl });
  const behind = await startService({ databaseUrl, options: { postgres: proxy.url, acquireTimeout: 1000 } });
  try {
    expect(outcomeOf(await behind.send({ key }))).toBe('executed');
    await proxy.refuse();
    proxy.cut();
    for (const again of [key, `${key}-new`]) {
      const reply = await behind.send({ key: again });
      expectRefusal(reply, 'STORE_UNAVAILABLE', 503);
      expect(reply.headers.get('retry-after')).toBe('1');
    }
    expect(behind.runs()).toBe(1);
    await proxy.healAll();
    expect(outcomeOf(await behind.send({ key }))).toBe('replayed');
    expect(outcomeOf(await behind.send({ key: `${key}-new` }))).toBe('executed');
  } finally {
    await behind.stop();
    await proxy.close();
  }
});

test.each(['record', 'store'])(
  'H17: a table that a crash empties keeps the server from starting: %s',
  async (table) => {
    const { url } = await createDatabase({ migrated: true });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    // Postgres itself refuses it while a logged table refers to this one.
    await client.query('alter table graphql_idempotency.step drop constraint step_record_fkey');
    await client.query(`alter table graphql_idempotency.${table} set unlogged`);
    await client.end();
    await expect(startService({ databaseUrl: url })).rejects.toThrow(
      new RegExp(`${table} .*not durable.*set logged`),
    );
  },
);

test('H18: keys reach no store as text, whatever they are made of', async () => {
  const hostile = [
    `${prefix}1:victim`,
    '*',
    '{slot}',
    'a:b',
    '../../x',
    '%00',
    `';drop/**/table/**/payments;--`,
  ];
  for (const each of hostile) await service.send({ extensions: { idempotencyKey: each } });
  const names = await eventually(async () => {
    const found = await redis.keys(`${prefix}*`);
    return found.length >= hostile.length && found;
  });
  for (const name of names) expect(name.slice(prefix.length)).toMatch(/^:\d+:[\w.:-]+:[\w-]{43}$/);
  const { rows } = await own.query<{ n: number }>(
    'select distinct octet_length(identity) as n from graphql_idempotency.record',
  );
  expect(rows).toEqual([{ n: 32 }]);
});

test('H19: neither store holds the key, the scope, headers or arguments', async () => {
  const secrets = ['secret-key', 'secret-user', 'secret-note', 'secret-header'];
  act = async ({ insert }) => ({ ...(await insert()), note: 'told' });
  const reply = await service.send({
    key: 'secret-key',
    user: 'secret-user',
    variables: { note: 'secret-note' },
    headers: { cookie: 'session=secret-header' },
  });
  expect(reply.status).toBe(200);
  const { rows } = await own.query<Record<string, unknown>>(
    'select * from graphql_idempotency.record order by completed_at desc limit 1',
  );
  const stored = Object.values(rows[0]!).map((value) =>
    Buffer.isBuffer(value) ? value.toString('latin1') : String(value),
  );
  const sealed = await eventually(async () => {
    const name = `*${(rows[0]!['identity'] as Buffer).toString('base64url')}`;
    const [found] = (await redis.keys(`${prefix}${name}`)) as string[];
    return found !== undefined && `${found} ${(await redis.getBuffer(found))!.toString('latin1')}`;
  });
  expect(stored.join()).toContain('told');
  expect(sealed).toContain('told');
  for (const secret of secrets) expect(stored.join() + sealed).not.toContain(secret);
});
