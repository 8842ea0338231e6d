/** A cluster, whose streams lie on different nodes. */

import { consumeRedisStream, redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../support/free-port.ts';
import { startRedis } from '../../support/redis-server.ts';
import type { RedisServer } from '../../support/redis-server.ts';
import { eventually } from '../../support/signal.ts';
import { eventOf, PATIENCE } from './stream-case.ts';

const nodes: { readonly server: RedisServer; readonly busPort: number; readonly redis: Redis }[] = [];

beforeAll(async () => {
  for (const slots of [
    [0, 8191],
    [8192, 16_383],
  ] as const) {
    const busPort = await freePort();
    const server = await startRedis({ settings: { 'cluster-enabled': 'yes', 'cluster-port': `${busPort}` } });
    const redis = new Redis(server.url);
    nodes.push({ server, busPort, redis });
    await redis.cluster('ADDSLOTSRANGE', ...slots);
  }
  const [first, second] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
  await first.redis.call('CLUSTER', 'MEET', '127.0.0.1', second.server.port, second.busPort);
  for (const { redis } of nodes) {
    await eventually(async () => {
      const info = await redis.cluster('INFO');
      return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:2');
    }, PATIENCE);
  }
});

afterAll(async () => {
  for (const { redis, server } of nodes) {
    redis.disconnect();
    await server.remove();
  }
});

function newCluster(): Cluster {
  const cluster = new Cluster([{ host: '127.0.0.1', port: nodes[0]!.server.port }]);
  onTestFinished(() => cluster.disconnect());
  return cluster;
}

test('events go to the nodes of their streams, and are consumed there', async () => {
  const redis = newCluster();
  const topics = Array.from({ length: 12 }, (_, at) => `topic-${at}`);
  const outcomes = await redisStreamsPublisher({ redis }).publish(
    topics.map((topic) => eventOf(topic, { topic })),
  );
  expect(outcomes).toEqual(topics.map(() => undefined));
  const lengths = await Promise.all(nodes.map(({ redis: node }) => node.dbsize()));
  expect(lengths[0]! + lengths[1]!).toBe(12);
  expect(Math.min(...lengths)).toBeGreaterThan(0);

  const got: string[] = [];
  const failed = new Set<string>();
  const consumers = topics.map((stream) =>
    consumeRedisStream(
      { redis, stream, group: 'g', claimIdleMs: 2000, backoffMs: 1, onError: () => {} },
      ({ messageId, deliveries }) => {
        if (deliveries === 1) {
          failed.add(messageId);
          throw new Error('not yet');
        }
        got.push(messageId);
      },
    ),
  );
  onTestFinished(async () => void (await Promise.all(consumers.map((consumer) => consumer.stop()))));
  await eventually(() => got.length === 12, PATIENCE);
  expect(got.toSorted()).toEqual(topics.map((topic) => `id-of-${topic}`).toSorted());
  expect(failed.size).toBe(12);
  for (const stream of topics) {
    await eventually(async () => {
      const [count] = (await redis.xpending(stream, 'g')) as [number];
      return count === 0;
    }, PATIENCE);
  }
  await Promise.all(consumers.map((consumer) => consumer.stop()));
  for (const stream of topics) expect(await redis.xinfo('CONSUMERS', stream, 'g')).toEqual([]);
});
