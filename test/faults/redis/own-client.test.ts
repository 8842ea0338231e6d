/** A client or options of the user's: checked for settings that fail fast, used, and left alone. */

import { Cluster, Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ConfigurationError } from 'graphql-idempotency';
import { checkFailFast, failFastOptions } from '../../../src/store/redis/fail-fast.ts';
import { startRedis } from '../../support/redis-server.ts';
import type { RedisServer } from '../../support/redis-server.ts';
import { eventually, within } from '../../support/signal.ts';
import { startService } from '../../support/service.ts';
import { executes, newKey, replays, startRedisCase, watchRedisEvents } from './redis-case.ts';
import type { RedisCase } from './redis-case.ts';

const events = watchRedisEvents();
const failFast = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  commandTimeout: 50,
} as const;

/** Patient with a busy machine. */
const patient = { ...failFast, commandTimeout: 2000 };

const clients: (Redis | Cluster)[] = [];
let setting: RedisCase;

beforeAll(async () => {
  setting = await startRedisCase();
});
afterEach(() => {
  setting.redis.thaw();
  events.clear();
  for (const client of clients.splice(0)) client.disconnect();
});

function redisClient(options: Omit<RedisOptions, 'replyMapping'> = {}): Redis {
  const client = new Redis({ port: setting.redis.port, ...options });
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

function clusterClient(port: number, options?: ConstructorParameters<typeof Cluster>[1]): Cluster {
  const client = new Cluster([{ host: '127.0.0.1', port }], options);
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

describe('a Redis client that would hang while Redis is down', () => {
  test.each(Object.keys(failFast) as (keyof typeof failFast)[])(
    'is refused when it lacks %s, and the refusal names the option',
    async (missing) => {
      const { [missing]: value, ...rest } = failFast;
      const client = redisClient(rest);
      const start = startService({ databaseUrl: setting.databaseUrl, redis: client });
      const error = await start.then(
        () => expect.unreachable('the service started'),
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(ConfigurationError);
      expect((error as Error).message).toContain('The option `redis`');
      expect((error as Error).message).toContain(`{ ${missing}: ${value} }`);
    },
  );

  test('is refused with all that it lacks at once', () => {
    expect(() => checkFailFast(redisClient())).toThrow(
      /enableOfflineQueue: false, commandTimeout: 50, maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false/,
    );
  });

  test('is taken with the settings of our own', () => {
    checkFailFast(redisClient(failFast));
    checkFailFast(redisClient(failFastOptions({ redisTimeout: 50, redisConnectTimeout: 200 })));
  });
});

describe("a client of the user's", () => {
  test('is used, and still open when the server has stopped', async () => {
    const client = redisClient(patient);
    const listeners = client.listenerCount('error');
    const service = await startService({
      databaseUrl: setting.databaseUrl,
      redis: client,
      options: { redisTimeout: 2000 },
    });
    const key = newKey();
    const first = await executes(service, { key });
    await setting.written(1);
    await replays(service, { key }, first);
    expect(events.names).toContain('hit');
    await service.stop();
    expect(client.status).toBe('ready');
    expect(await client.ping()).toBe('PONG');
    expect(client.listenerCount('error')).toBe(listeners);
    expect(client.listenerCount('ready')).toBe(0);
  });

  test('that is closed is a miss, and never an error', async () => {
    const client = redisClient(patient);
    const service = await setting.start({ redis: client });
    const key = newKey();
    const first = await executes(service, { key });
    await client.quit();
    await replays(service, { key }, first);
    await executes(service, { key: newKey() });
  });

  test('that waits longer than `redisTimeout` for an answer is not waited for', async () => {
    const client = redisClient({ ...failFast, commandTimeout: 60_000 });
    const service = await setting.start({ redis: client, options: { redisTimeout: 100 } });
    const key = newKey();
    const first = await executes(service, { key });
    setting.redis.freeze();
    await within(replays(service, { key }, first), { timeoutMs: 10_000, what: 'the replay' });
    setting.redis.thaw();
  });

  test('connection options get our fail-fast settings, whatever they say', async () => {
    const service = await setting.start({
      redis: {
        host: '127.0.0.1',
        port: setting.redis.port,
        enableOfflineQueue: true,
        commandTimeout: 60_000,
      },
      options: { redisTimeout: 100 },
    });
    const key = newKey();
    const first = await executes(service, { key });
    setting.redis.freeze();
    await within(replays(service, { key }, first), { timeoutMs: 10_000, what: 'the replay' });
    setting.redis.thaw();
  });
});

describe('a cluster', () => {
  let node: RedisServer;
  const options = {
    enableOfflineQueue: false,
    redisOptions: { commandTimeout: 2000 },
    // So long that whoever waits for the next try is noticed.
    retryDelayOnFailover: 8000,
  };

  beforeAll(async () => {
    node = await startRedis({
      settings: {
        'cluster-enabled': 'yes',
        'cluster-announce-ip': '127.0.0.1',
        'cluster-require-full-coverage': 'no',
      },
    });
    const client = new Redis(node.url);
    await client.cluster('ADDSLOTSRANGE', 0, 16_383);
    await eventually(async () => /cluster_state:ok/.test(await client.cluster('INFO')));
    client.disconnect();
  });
  afterAll(() => node.remove());

  test('is refused when its own queue is on, also where the option stands among those of its nodes', () => {
    const misplaced = { redisOptions: { enableOfflineQueue: false, commandTimeout: 50 } };
    expect(() => checkFailFast(clusterClient(node.port, misplaced))).toThrow(
      /\{ enableOfflineQueue: false \}/,
    );
    expect(() => checkFailFast(clusterClient(node.port, { enableOfflineQueue: false }))).toThrow(
      /\{ redisOptions\.commandTimeout: 50 \}/,
    );
  });

  test('is used, passed by while its node is gone, and still open when the server has stopped', async () => {
    const client = clusterClient(node.port, options);
    const service = await startService({
      databaseUrl: setting.databaseUrl,
      redis: client,
      options: { redisTimeout: 1000, redisConnectTimeout: 2000 },
    });
    const key = newKey();
    const first = await executes(service, { key });
    await eventually(() => events.count('written') > 0);
    await eventually(async () => {
      await replays(service, { key }, first);
      return events.count('hit') > 0;
    });

    node.freeze();
    await within(replays(service, { key }, first), { timeoutMs: 3000, what: 'a replay past a frozen node' });
    node.thaw();
    await node.kill();
    for (let call = 0; call < 3; call += 1) {
      await within(replays(service, { key }, first), { timeoutMs: 4000, what: 'a replay past a lost node' });
    }
    await service.stop();
    expect(client.status).not.toBe('end');
  });
});
