/** Connections of a consumer's own, with the settings of the caller's client, but none that would make it hang. */

import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { RedisClient } from './ready.ts';

/** How long Redis may take to answer, in milliseconds: far longer than a read that waits. */
const ANSWER_MS = 5000;
const MAX_RECONNECT_MS = 2000;

const reconnectMs = (times: number): number => Math.min(50 * times, MAX_RECONNECT_MS);

const SETTINGS = {
  lazyConnect: false,
  monitor: false,
  readOnly: false,
  // What has failed is tried again by the consumer, which knows whether it still matters.
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableAutoPipelining: false,
  enableReadyCheck: true,
  commandTimeout: ANSWER_MS,
  // A peer that vanished without a word leaves a connection that fails for many minutes: try a new one.
  socketTimeout: ANSWER_MS,
  retryStrategy: reconnectMs,
  // After a failover, the one that answers may have become a replica.
  reconnectOnError: ({ message }: Error) => message.startsWith('READONLY'),
  stringNumbers: false,
  replyMapping: 'legacy',
} as const satisfies Partial<RedisOptions>;

/** Opens a connection. `disconnect` closes it. */
export function ownConnection(redis: RedisClient, onError: (error: unknown) => void): Redis {
  const own = redis.isCluster
    ? (redis as Cluster).duplicate([], {
        lazyConnect: false,
        enableOfflineQueue: false,
        enableAutoPipelining: false,
        scaleReads: 'master',
        clusterRetryStrategy: reconnectMs,
        redisOptions: SETTINGS,
      })
    : (redis as Redis).duplicate(SETTINGS);
  own.on('error', onError);
  // The commands are the same, and so are their answers.
  return own as Redis;
}
