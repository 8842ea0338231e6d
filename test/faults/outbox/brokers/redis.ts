/** Redis Streams, which answer when an entry is on disk. */

import { consumeRedisStream, redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { Redis } from 'ioredis';
import { startRedis } from '../../../support/redis-server.ts';
import { TOPICS } from '../plan-call.ts';
import { GROUP, REDELIVER_MS } from './broker.ts';
import type { Broker } from './broker.ts';

export const redisBroker: Broker = {
  async start() {
    const server = await startRedis({ settings: { appendonly: 'yes', appendfsync: 'always' } });
    const redis = client(server.url);
    return {
      url: server.url,
      end: (how) => server[how](),
      restart: () => server.start(),
      async backlog() {
        let backlog = 0;
        for (const topic of TOPICS) backlog += await backlogOf(redis, topic);
        return backlog;
      },
      async remove() {
        redis.disconnect();
        await server.remove();
      },
    };
  },
  openPublisher: async (url) => redisStreamsPublisher({ redis: client(url) }),
  consume: async (url, options, handler) =>
    consumeRedisStream(
      { redis: client(url), streams: TOPICS, group: GROUP, claimIdleMs: REDELIVER_MS, ...options },
      handler,
    ),
};

function client(url: string): Redis {
  const redis = new Redis(url, { commandTimeout: 5000, retryStrategy: () => 100 });
  redis.on('error', () => {});
  return redis;
}

/** Entries that were not delivered, and those that nobody has struck off. */
async function backlogOf(redis: Redis, stream: string): Promise<number> {
  const groups = (await redis.xinfo('GROUPS', stream)) as (string | number | null)[][];
  const facts = groups.map((fields) =>
    Object.fromEntries(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1]] as const] : []))),
  );
  const { pending, lag } = facts.find(({ name }) => name === GROUP)!;
  return Number(pending) + Number(lag);
}
