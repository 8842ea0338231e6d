/** What Redis holds was changed, swapped, forged or written by another version: Postgres answers. */

import pg from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CODEC_VERSION, encode } from '../../../src/record/codec.ts';
import { open, seal } from '../../../src/record/envelope.ts';
import type { CompletedRecord } from '../../../src/record/record.ts';
import type { Reply, Service } from '../../support/service.ts';
import { executes, newKey, replays, startRedisCase, watchRedisEvents } from './redis-case.ts';
import type { RedisCase } from './redis-case.ts';

const events = watchRedisEvents();
let setting: RedisCase;
let service: Service;
let secret: Buffer;

beforeAll(async () => {
  setting = await startRedisCase();
  service = await setting.start();
  const client = new pg.Client({ connectionString: setting.databaseUrl });
  await client.connect();
  const { rows } = await client.query('select envelope_secret from graphql_idempotency.store');
  secret = rows[0].envelope_secret;
  await client.end();
});

let key: string;
let first: Reply;
let name: string;
let value: Buffer;

beforeEach(async () => {
  await setting.peek.flushall();
  key = newKey();
  first = await executes(service, { key, variables: { note: 'first' } });
  [name] = (await setting.written(1)) as [string];
  value = (await setting.peek.getBuffer(name))!;
  events.clear();
});

const retry = (): Promise<Reply> => replays(service, { key, variables: { note: 'first' } }, first);

function record(): CompletedRecord {
  const opened = open(name, value, secret);
  if (opened.kind !== 'record') throw new Error('the entry cannot be opened');
  return opened.record;
}

test('the entry that these tests change is the one that is read', async () => {
  const body = encode({ id: '999', amount: 1, note: 'from Redis' });
  await setting.peek.set(name, seal(name, { ...record(), body }, secret)!);
  const reply = await service.send({ key, variables: { note: 'first' } });
  expect(reply.body.data.pay).toEqual({ id: '999', amount: 1, note: 'from Redis' });
  expect(events.lookups).toEqual(['hit']);
});

describe('a poisoned entry (52) is a miss that is reported', () => {
  const other = Buffer.alloc(32, 1);
  test.each<[string, () => Buffer | string, 'forged' | 'unreadable']>([
    ['nothing', () => '', 'unreadable'],
    ['text', () => 'hello', 'unreadable'],
    ['JSON', () => JSON.stringify({ state: 'completed', body: 'x'.repeat(200) }), 'forged'],
    ['a megabyte', () => Buffer.alloc(1 << 20, 0x41), 'forged'],
    ['its first half', () => value.subarray(0, value.length >> 1), 'unreadable'],
    ['one bit changed', () => flip(value, 70), 'forged'],
    ['an expiry moved into the future', () => flip(value, 14), 'forged'],
    ['the body of somebody else under its own seal', () => spliced(value), 'forged'],
    ['an envelope sealed with another secret', () => seal(name, record(), other)!, 'forged'],
    ['an envelope sealed for another name', () => seal(`${name}x`, record(), secret)!, 'forged'],
  ])('%s', async (_, poison, event) => {
    await setting.peek.set(name, poison());
    await retry();
    expect(events.lookups[0]).toBe(event);
    expect(events.names).not.toContain('hit');
  });

  test('a value of another type', async () => {
    await setting.peek.del(name);
    await setting.peek.rpush(name, 'a', 'b');
    const reply = await retry();
    expect(events.names).toContain('failed');
    expect(JSON.stringify(reply.body)).not.toMatch(/WRONGTYPE/);
  });

  test('the values of two keys, swapped', async () => {
    const another = newKey();
    const second = await executes(service, { key: another, variables: { note: 'second' } });
    const names = await setting.written(2);
    const otherName = names.find((one) => one !== name)!;
    const otherValue = (await setting.peek.getBuffer(otherName))!;
    await setting.peek.mset(name, otherValue, otherName, value);
    events.clear();
    await retry();
    await replays(service, { key: another, variables: { note: 'second' } }, second);
    expect(events.names.filter((event) => event === 'forged')).toHaveLength(2);
    expect(events.names).not.toContain('hit');
  });

  test("another user's value for the same key", async () => {
    const theirs = await executes(service, { key, user: 'bob', variables: { note: 'first' } });
    const names = await setting.written(2);
    const bobs = names.find((one) => one !== name)!;
    await setting.peek.set(bobs, value);
    const reply = await replays(service, { key, user: 'bob', variables: { note: 'first' } }, theirs);
    expect(reply.body.data.pay.id).not.toBe(first.body.data.pay.id);
    expect(events.names).toContain('forged');
  });

  test('does not become an execution when the key was used for something else', async () => {
    await setting.peek.set(name, 'garbage');
    const reply = await service.send({ key, variables: { note: 'other' } });
    expect(reply.code).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(reply.status).toBe(422);
  });
});

describe('an entry of another version (53) is a miss', () => {
  test('entries under the names of other envelope versions are not looked at', async () => {
    const body = encode({ id: '999', amount: 1, note: 'foreign' });
    for (const version of [0, 2, 10]) {
      const foreign = name.replace(/:1:/, `:${version}:`);
      expect(foreign).not.toBe(name);
      await setting.peek.set(foreign, seal(foreign, { ...record(), body }, secret)!);
    }
    await setting.peek.del(name);
    await retry();
    expect(events.lookups[0]).toBe('miss');
  });

  test.each<[string, Partial<CompletedRecord>]>([
    ['a newer codec', { codecVersion: CODEC_VERSION + 1, body: Buffer.from('new format') }],
    ['an older codec', { codecVersion: 0, body: Buffer.from('old format') }],
    ['a newer fingerprint', { fingerprintVersion: 2, fingerprint: Buffer.alloc(32, 9) }],
    ['an older fingerprint', { fingerprintVersion: 0, fingerprint: Buffer.alloc(32, 9) }],
    ['a body that does not decode', { body: Buffer.from('[not json') }],
    ['a body that overflows', { body: Buffer.from(`${'['.repeat(100_000)}1${']'.repeat(100_000)}`) }],
  ])('though it is authentic: %s', async (_, changes) => {
    await setting.peek.set(name, seal(name, { ...record(), ...changes }, secret)!);
    await retry();
  });

  test('an outcome that this version does not know', async () => {
    const sealed = seal(name, record(), secret)!;
    const { createHmac } = await import('node:crypto');
    const content = Buffer.from(sealed.subarray(0, -32));
    content.writeUInt8(9, 0);
    const mac = createHmac('sha256', secret).update(`${name}\n`).update(content).digest();
    await setting.peek.set(name, Buffer.concat([content, mac]));
    await retry();
    expect(events.lookups[0]).toBe('unreadable');
  });
});

function flip(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  return changed;
}

/** The header and seal of one entry around another body. */
function spliced(bytes: Buffer): Buffer {
  const body = encode({ id: '1', amount: 1_000_000, note: 'forged' });
  return Buffer.concat([bytes.subarray(0, 61), body, bytes.subarray(-32)]);
}
