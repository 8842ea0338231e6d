/** Redis is absent, dies or comes back: slower, never wrong. */

import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { deferred, eventually, within } from '../../support/signal.ts';
import { startRedisProxy } from '../../support/redis-proxy.ts';
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

describe('with Redis absent when the server starts (45)', () => {
  const printed = vi.spyOn(console, 'error');
  afterEach(async () => {
    printed.mockClear();
    await setting.redis.start().catch(() => undefined);
  });

  test('the server starts, answers and replays from Postgres, and prints nothing', async () => {
    await setting.redis.stop();
    const service = await within(setting.start(), { what: 'the start without Redis' });
    const key = newKey();
    const first = await executes(service, { key });
    await replays(service, { key }, first);
    const reused = await service.send({ key, variables: { amount: 7 } });
    expect(reused.status).toBe(422);
    expect(printed).not.toHaveBeenCalled();
    expect(JSON.stringify(first.body)).not.toMatch(/redis|ECONN/i);
  });

  test('it is used as soon as it is there', async () => {
    await setting.redis.stop();
    const service = await setting.start();
    const key = newKey();
    const first = await executes(service, { key });
    await setting.redis.start();
    await eventually(
      async () => {
        await replays(service, { key }, first);
        return events.count('hit') > 0;
      },
      { what: 'a replay from Redis' },
    );
  });
});

test('a server that cannot reach Postgres at its start leaves no connection to Redis behind', async () => {
  // By database: servers of other tests find this Redis again when they please.
  const clients = async (database: number): Promise<number> =>
    String(await setting.peek.client('LIST'))
      .split('\n')
      .filter((client) => client.includes(` db=${database} `)).length;
  await setting.start({ redis: `${setting.redis.url}/4` });
  await eventually(async () => (await clients(4)) > 0, { what: 'the connections of a server that starts' });
  for (const migrate of [true, false]) {
    const start = setting.start({
      redis: `${setting.redis.url}/5`,
      options: { migrate, postgres: 'postgres://127.0.0.1:1/none' },
    });
    await expect(start).rejects.toThrow();
  }
  await eventually(async () => (await clients(5)) === 0, { what: 'the end of the connections' });
});

describe('when Redis dies (47)', () => {
  test('while the lookup is under way, Postgres answers', async () => {
    const proxy = await startRedisProxy({ target: setting.redis.url });
    const service = await setting.start({ redis: proxy.url, options: { redisTimeout: 20_000 } });
    const key = newKey();
    const first = await executes(service, { key });
    await setting.written(1);
    proxy.reset();
    proxy.blackhole();
    const retry = service.send({ key });
    await eventually(() => proxy.counts().commands.includes('GET'));
    await setting.redis.kill();
    proxy.cut();
    const again = await within(retry, { what: 'the answer from Postgres' });
    expect(again.body.data).toEqual(first.body.data);
    expect(service.runs()).toBe(1);
    await proxy.close();
    await setting.redis.start();
  });

  test('while the resolver runs, its answer stands and is replayed', async () => {
    const entered = deferred();
    const goOn = deferred();
    const service = await setting.start({
      pay: async ({ insert }) => {
        entered.resolve();
        await goOn.promise;
        return insert();
      },
    });
    const key = newKey();
    const sent = service.send({ key });
    await entered.promise;
    await setting.redis.kill();
    goOn.resolve();
    const first = await sent;
    expect(first.body.data.pay).toMatchObject({ amount: 100 });
    await replays(service, { key }, first);
    await setting.redis.start();
    await replays(service, { key }, first);
  });

  test('and comes back empty, retries are answered from Postgres and fill it again', async () => {
    const service = await setting.start();
    const key = newKey();
    const first = await executes(service, { key });
    await setting.written(1);
    await setting.redis.kill();
    await setting.redis.start();
    expect(await setting.entries()).toEqual([]);
    await eventually(async () => {
      await replays(service, { key }, first);
      return (await setting.entries()).length === 1;
    });
    events.clear();
    await replays(service, { key }, first);
    expect(events.lookups).toEqual(['hit']);
  });
});

describe('the circuit breaker', () => {
  test('opens when Redis keeps failing, asks nothing of it while open, and closes when it is back', async () => {
    const proxy = await startRedisProxy({ target: setting.redis.url });
    const service = await setting.start({ redis: proxy.url, options: { redisTimeout: 500 } });
    const key = newKey();
    const first = await executes(service, { key });
    proxy.blackhole();
    await eventually(async () => {
      await replays(service, { key }, first);
      return events.count('circuit-open') > 0;
    });
    proxy.reset();
    events.clear();
    for (let call = 0; call < 5; call += 1) await replays(service, { key }, first);
    expect(proxy.counts().commands.filter((command) => /^[GS]ET$/.test(command))).toEqual([]);

    await proxy.healAll();
    await eventually(async () => {
      await replays(service, { key }, first);
      return events.count('circuit-closed') > 0 && events.count('hit') > 0;
    });
    events.clear();
    await replays(service, { key }, first);
    expect(events.lookups).toEqual(['hit']);
    await proxy.close();
  });

  test('a connection that nobody answers on is given up for a new one', async () => {
    const proxy = await startRedisProxy({ target: setting.redis.url });
    const service = await setting.start({ redis: proxy.url, options: { redisTimeout: 100 } });
    const key = newKey();
    const first = await executes(service, { key });
    proxy.reset();
    proxy.blackhole();
    await eventually(
      async () => {
        await replays(service, { key }, first);
        return proxy.counts().connections > 0;
      },
      { what: 'a new connection to Redis' },
    );
    await proxy.close();
  });
});
