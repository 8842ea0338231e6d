/** Redis is frozen or slow: calls pass it by, and what it does later changes nothing. */

import pg from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startRedisProxy } from '../../support/redis-proxy.ts';
import { eventually, within } from '../../support/signal.ts';
import { executes, newKey, replays, startRedisCase, watchRedisEvents } from './redis-case.ts';
import type { RedisCase } from './redis-case.ts';

const events = watchRedisEvents();
let setting: RedisCase;

beforeAll(async () => {
  setting = await startRedisCase();
});
beforeEach(async () => {
  await setting.peek.flushall();
  await setting.peek.config('RESETSTAT');
  events.clear();
});
afterEach(() => setting.redis.thaw());

describe('a frozen Redis (46)', () => {
  test('costs a first call and a retry the timeout, and changes neither', async () => {
    const service = await setting.start({ options: { redisTimeout: 50 } });
    const key = newKey();
    setting.redis.freeze();
    const first = await within(executes(service, { key }), { timeoutMs: 8000, what: 'the first answer' });
    await within(replays(service, { key }, first), { timeoutMs: 8000, what: 'the replay' });
    expect((await service.send({ key, variables: { amount: 1 } })).status).toBe(422);
    expect(events.names).toContain('failed');
  });

  test('opens the breaker, and answers stay right while it is open', async () => {
    const service = await setting.start({ options: { redisTimeout: 50 } });
    const key = newKey();
    const first = await executes(service, { key });
    setting.redis.freeze();
    await eventually(async () => {
      await replays(service, { key }, first);
      return events.count('circuit-open') > 0;
    });
    await replays(service, { key }, first);
    await executes(service, { key: newKey() });
  });

  test('does not keep other keys waiting, whatever their number', async () => {
    const service = await setting.start({ options: { redisTimeout: 50 } });
    setting.redis.freeze();
    const calls = Array.from({ length: 60 }, () => service.send({ key: newKey() }));
    const replies = await within(Promise.all(calls), { timeoutMs: 15_000, what: 'sixty first answers' });
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 60 }, () => 200));
    expect(service.runs()).toBe(60);
  });
});

describe('a SET that Redis applies after its caller gave up (48)', () => {
  test('states what is true: retries get the first answer from it', async () => {
    const service = await setting.start({ options: { redisTimeout: 50 } });
    const key = newKey();
    setting.redis.freeze();
    const first = await executes(service, { key });
    await eventually(() => events.count('write-failed') > 0, { what: 'the SET to time out' });
    setting.redis.thaw();
    await setting.written(1);
    await eventually(async () => {
      await replays(service, { key }, first);
      return events.count('hit') > 0;
    });
  });

  test('leaves nothing when its record has expired by then, and the key is new', async () => {
    const service = await setting.start({
      options: {
        redisTimeout: 50,
        transactionTimeout: 1500,
        ttl: 1600,
        commitTimeout: 1000,
        lockTimeout: 200,
      },
    });
    const key = newKey();
    setting.redis.freeze();
    const first = await executes(service, { key });
    await eventually(() => events.count('write-failed') > 0, { what: 'the SET to time out' });
    const client = new pg.Client({ connectionString: setting.databaseUrl });
    await client.connect();
    await eventually(async () => {
      const { rows } = await client.query(
        'select from graphql_idempotency.record where takeover_after < clock_timestamp()',
      );
      return rows.length === 1;
    });
    await client.end();
    setting.redis.thaw();
    await eventually(async () => (await callsOf(setting, 'set')) > 0, { what: 'the late SET' });
    expect(await setting.entries()).toEqual([]);
    const second = await executes(service, { key });
    expect(second.body.data.pay.id).not.toBe(first.body.data.pay.id);
  });

  test('does not replace the entry that is there by then', async () => {
    const proxy = await startRedisProxy({ target: setting.redis.url });
    const late = await setting.start({
      redis: proxy.url,
      options: { redisTimeout: 1000 },
      pay: ({ insert }) => {
        proxy.blackhole('client');
        return insert();
      },
    });
    const other = await setting.start();
    const key = newKey();
    await late.send({ key });
    await eventually(() => proxy.counts().commands.includes('SET'), { what: 'the SET, held by the proxy' });
    const first = await other.send({ key });
    const [name] = await setting.written(1);
    const entry = await setting.peek.getBuffer(name!);
    await setting.peek.set(name!, 'marked', 'KEEPTTL');
    await proxy.healAll();
    await eventually(async () => (await callsOf(setting, 'set')) >= 3, { what: 'the late SET' });
    expect(await setting.peek.get(name!)).toBe('marked');
    await setting.peek.set(name!, entry!, 'KEEPTTL');
    await replays(other, { key }, first);
    await proxy.close();
  });
});

describe('a slow Redis (54)', () => {
  test('is not waited for longer than the timeout, before the resolver or after it', async () => {
    const proxy = await startRedisProxy({ target: setting.redis.url });
    const service = await setting.start({ redis: proxy.url, options: { redisTimeout: 50 } });
    proxy.delay(10_000);
    const key = newKey();
    const first = await within(executes(service, { key }), { timeoutMs: 8000, what: 'the first answer' });
    await within(replays(service, { key }, first), { timeoutMs: 8000, what: 'the replay' });
    await proxy.close();
  });

  test('does not hold back the answer while the entry is written', async () => {
    const proxy = await startRedisProxy({ target: setting.redis.url });
    const service = await setting.start({
      redis: proxy.url,
      options: { redisTimeout: 20_000 },
      pay: ({ insert }) => {
        proxy.blackhole();
        return insert();
      },
    });
    const key = newKey();
    const first = await within(service.send({ key }), { timeoutMs: 8000, what: 'the answer' });
    expect(first.body.data.pay.amount).toBe(100);
    await eventually(() => proxy.counts().commands.includes('SET'));
    expect(await setting.entries()).toEqual([]);
    await proxy.healAll();
    await setting.written(1);
    await replays(service, { key }, first);
    expect(events.names).toContain('hit');
    await proxy.close();
  });

  test('answers that come late are not taken for the answers to later lookups', async () => {
    const proxy = await startRedisProxy({ target: setting.redis.url });
    const service = await setting.start({ redis: proxy.url, options: { redisTimeout: 300 } });
    const first = await executes(service, { key: 'late-a', user: 'alice' });
    const second = await executes(service, { key: 'late-b', user: 'bob' });
    await setting.written(2);
    proxy.delay(700);
    for (let round = 0; round < 3; round += 1) {
      await replays(service, { key: 'late-a', user: 'alice' }, first);
      await replays(service, { key: 'late-b', user: 'bob' }, second);
    }
    await proxy.close();
  });
});

async function callsOf({ peek }: RedisCase, command: string): Promise<number> {
  const stats = await peek.info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}
