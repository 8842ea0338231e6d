/** Redis forgets, or has no room: a miss is only a miss. */

import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../../support/signal.ts';
import { executes, newKey, replays, startRedisCase, watchRedisEvents } from './redis-case.ts';
import type { RedisCase } from './redis-case.ts';

const events = watchRedisEvents();
let setting: RedisCase;

beforeAll(async () => {
  setting = await startRedisCase();
});
beforeEach(async () => {
  await setting.peek.config('SET', 'maxmemory', '0');
  await setting.peek.flushall();
  events.clear();
});

test('FLUSHALL between call and retry: the retry gets the first answer, and fills Redis again (51)', async () => {
  const service = await setting.start();
  const key = newKey();
  const first = await executes(service, { key });
  const written = await setting.written(1);
  await setting.peek.flushall();
  await replays(service, { key }, first);
  expect(events.names).toContain('miss');
  expect(await setting.written(1)).toEqual(written);
  events.clear();
  await replays(service, { key }, first);
  expect(events.lookups).toEqual(['hit']);
});

test('after a failover to a replica that missed the entry, the retry gets the first answer (51)', async () => {
  const service = await setting.start();
  const key = newKey();
  const first = await executes(service, { key });
  const [name] = await setting.written(1);
  // A replica of nobody that can be reached: it serves what it has, and takes no writes.
  await setting.peek.del(name!);
  await setting.peek.replicaof('127.0.0.1', '1');
  await replays(service, { key }, first);
  await replays(service, { key }, first);
  await eventually(() => events.count('write-failed') > 0, { what: 'the refused write' });
  expect(await setting.entries()).toEqual([]);
  await setting.peek.replicaof('NO', 'ONE');
  await replays(service, { key }, first);
  await setting.written(1);
});

test('an entry that was evicted is a miss (49)', async () => {
  const service = await setting.start();
  const key = newKey();
  const first = await executes(service, { key });
  const [name] = await setting.written(1);
  const { peek } = setting;
  await peek.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await peek.config('SET', 'maxmemory', '2mb');
  for (let at = 0; (await peek.exists(name!)) === 1; at += 1) {
    if (at > 1000) throw new Error('Redis evicted nothing');
    await peek.set(`other:${at}`, 'x'.repeat(20_000));
  }
  events.clear();
  await replays(service, { key }, first);
  expect(events.names).toContain('miss');
});

describe('a Redis that is full and evicts nothing (50)', () => {
  test('refuses the entry; the call, its retries and other calls are answered all the same', async () => {
    const service = await setting.start();
    const { peek } = setting;
    await peek.config('SET', 'maxmemory-policy', 'noeviction');
    for (let at = 0; at < 100; at += 1) await peek.set(`other:${at}`, 'x'.repeat(20_000));
    await peek.config('SET', 'maxmemory', '2mb');
    await expect(peek.set('other:more', 'x')).rejects.toThrow(/^OOM/);
    const key = newKey();
    const first = await executes(service, { key });
    await eventually(() => events.count('write-failed') > 0);
    expect(String(events.errors[0])).toMatch(/OOM/);
    expect(await setting.entries()).toEqual([]);
    for (let retry = 0; retry < 6; retry += 1) {
      const again = await replays(service, { key }, first);
      expect(JSON.stringify(again.body)).not.toMatch(/OOM|memory|redis/i);
    }
    await executes(service, { key: newKey() });
    // Lookups still work, so a full Redis must not look like a broken one.
    expect(events.count('circuit-open')).toBe(0);
    expect(service.log.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
