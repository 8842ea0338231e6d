/** An entry never outlives its record, whatever Redis does with it. */

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encode } from '../../../src/record/codec.ts';
import { open, seal } from '../../../src/record/envelope.ts';
import type { CompletedRecord } from '../../../src/record/record.ts';
import type { Reply, Service } from '../../support/service.ts';
import { executes, newKey, replays, startRedisCase, watchRedisEvents } from './redis-case.ts';
import type { RedisCase } from './redis-case.ts';

const events = watchRedisEvents();
let setting: RedisCase;
let service: Service;
let sql: pg.Client;
let secret: Buffer;

beforeAll(async () => {
  setting = await startRedisCase();
  service = await setting.start({
    options: { ttl: 'PT1H' },
    typeDefs: 'extend type Mutation { brief(note: String!): String! @idempotent(ttl: "PT40S") }',
    resolvers: () => ({ Mutation: { brief: (_: unknown, { note }: { note: string }) => note } }),
  });
  sql = new pg.Client({ connectionString: setting.databaseUrl });
  await sql.connect();
  secret = (await sql.query('select envelope_secret from graphql_idempotency.store')).rows[0].envelope_secret;
});
afterAll(() => sql.end());
beforeEach(async () => {
  await setting.peek.flushall();
  await sql.query('truncate graphql_idempotency.record cascade');
  events.clear();
});

async function rowExpiry(): Promise<number> {
  const { rows } = await sql.query(
    'select extract(epoch from expires_at)::float8 * 1000 as ms from graphql_idempotency.record',
  );
  expect(rows).toHaveLength(1);
  return rows[0].ms;
}

/** Puts an authentic entry with another answer in the place of the real one. */
async function replaceEntry(changes: (clockMs: number) => Partial<CompletedRecord>): Promise<void> {
  const [name] = (await setting.written(1)) as [string];
  const opened = open(name, (await setting.peek.getBuffer(name))!, secret);
  if (opened.kind !== 'record') throw new Error('the entry cannot be opened');
  const { rows } = await sql.query('select extract(epoch from clock_timestamp())::float8 * 1000 as ms');
  const body = encode({ id: '999', amount: 1, note: 'from Redis' });
  await setting.peek.set(name, seal(name, { ...opened.record, body, ...changes(rows[0].ms) }, secret)!);
  events.clear();
}

describe('the expiry that Redis is given', () => {
  test.each(['first', 'refilled'])("is absolute, and not later than the record's: %s", async (how) => {
    const key = newKey();
    const first = await executes(service, { key });
    const [name] = (await setting.written(1)) as [string];
    if (how === 'refilled') {
      await setting.peek.del(name);
      await replays(service, { key }, first);
      await setting.written(1);
    }
    const expires = await rowExpiry();
    const given = Number(await setting.peek.call('PEXPIRETIME', name));
    expect(given).toBeLessThanOrEqual(expires);
    expect(given).toBeGreaterThan(expires - 1);
  });

  test("follows the field's own ttl", async () => {
    await service.send({ key: newKey(), query: 'mutation { brief(note: "x") }' });
    const [name] = (await setting.written(1)) as [string];
    expect(Number(await setting.peek.call('PEXPIRETIME', name))).toBe(Math.floor(await rowExpiry()));
  });
});

describe('the expiry that the entry itself carries', () => {
  const read = async (key: string): Promise<string | null> =>
    ((await service.send({ key })) as Reply).body.data?.pay?.note;

  test('decides although Redis keeps the entry for ever', async () => {
    const key = newKey();
    await executes(service, { key });
    await replaceEntry((now) => ({ expiresMs: now - 1, takeoverMs: now + 1e6 }));
    expect(await read(key)).toBeNull();
  });

  test('is not trusted in its last second, because the clock is an estimate', async () => {
    const key = newKey();
    await executes(service, { key });
    await replaceEntry((now) => ({ expiresMs: now + 900, takeoverMs: now + 1e6 }));
    expect(await read(key)).toBeNull();
    await replaceEntry((now) => ({ expiresMs: now + 60_000, takeoverMs: now + 1e6 }));
    expect(await read(key)).toBe('from Redis');
  });

  test('never makes a key expired: only Postgres may say that', async () => {
    const key = newKey();
    const first = await executes(service, { key });
    await replaceEntry((now) => ({ expiresMs: now - 10_000, takeoverMs: now + 1e6 }));
    await replays(service, { key }, first);
    await replaceEntry((now) => ({ expiresMs: now - 10_000, takeoverMs: now - 5000 }));
    await replays(service, { key }, first);
  });

  test('does not let an entry that Redis kept replay after the record may be taken over', async () => {
    const key = newKey();
    const first = await executes(service, { key });
    await replaceEntry((now) => ({ expiresMs: now + 500, takeoverMs: now + 500 }));
    await sql.query(
      `update graphql_idempotency.record set completed_at = completed_at - interval '2 hours',
        expires_at = expires_at - interval '2 hours', takeover_after = takeover_after - interval '2 hours'`,
    );
    const second = await executes(service, { key });
    expect(second.body.data.pay.id).not.toBe(first.body.data.pay.id);
  });
});
