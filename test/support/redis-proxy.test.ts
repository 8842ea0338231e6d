import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { redisPrefix, redisUrl } from './database.ts';
import { type RedisProxy, startRedisProxy } from './redis-proxy.ts';
import { eventually } from './signal.ts';

let proxy: RedisProxy;
let client: Redis;
let prefix: string;

beforeEach(async () => {
  prefix = redisPrefix();
  proxy = await startRedisProxy({ target: redisUrl() });
  client = await connected();
  proxy.reset();
});

afterEach(async () => {
  client.disconnect();
  await proxy.close();
});

describe('the proxy in front of Redis', () => {
  it('counts a round trip for each command of a client that waits', async () => {
    await client.set(`${prefix}a`, '1');
    await client.get(`${prefix}a`);
    expect(proxy.counts()).toEqual({ connections: 0, roundTrips: 2, commands: ['SET', 'GET'] });
  });

  it('counts one round trip for a pipeline', async () => {
    await client.pipeline().set(`${prefix}a`, '1').get(`${prefix}a`).exec();
    expect(proxy.counts()).toMatchObject({ roundTrips: 1, commands: ['SET', 'GET'] });
  });

  it('reads commands that hold bytes, line ends and 100 kB', async () => {
    await client.set(`${prefix}a`, Buffer.alloc(100_000, '\r\n*$\0'));
    await client.get(`${prefix}a`);
    expect(proxy.counts()).toMatchObject({ commands: ['SET', 'GET'] });
  });

  it('delays answers', async () => {
    proxy.delay(100);
    const sent = performance.now();
    await client.get(`${prefix}a`);
    expect(performance.now() - sent).toBeGreaterThanOrEqual(95);
  });

  it('keeps what was sent into a black hole and passes it on when it is healed', async () => {
    const other = new Redis(redisUrl());
    proxy.blackhole();
    const set = client.set(`${prefix}a`, 'late');
    await eventually(() => proxy.counts().commands.includes('SET'));
    expect(await other.get(`${prefix}a`)).toBeNull();
    await proxy.healAll();
    await set;
    expect(await other.get(`${prefix}a`)).toBe('late');
    other.disconnect();
  });

  it('black-holes answers alone, so that a command is carried out unheard', async () => {
    const other = new Redis(redisUrl());
    proxy.blackhole('server');
    const set = client.set(`${prefix}a`, 'unheard');
    await eventually(async () => (await other.get(`${prefix}a`)) === 'unheard');
    await proxy.healAll();
    await set;
    other.disconnect();
  });

  it('cuts connections and refuses new ones', async () => {
    await proxy.refuse();
    const get = client.get(`${prefix}a`);
    proxy.cut();
    await expect(get).rejects.toThrow();
    await expect(connected()).rejects.toThrow();
    await proxy.healAll();
    (await connected()).disconnect();
    expect(proxy.counts().connections).toBe(1);
  });
});

async function connected(): Promise<Redis> {
  const redis = new Redis(proxy.url, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    disableClientInfo: true,
  });
  redis.on('error', () => undefined);
  await redis.connect();
  return redis;
}
