/** What a Redis client must be set to, so that a Redis that is down or frozen costs milliseconds. */

import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { ConfigurationError } from '../../errors/configuration-error.ts';

/** Settings of the library's own client. Without them a GET waits for a dead Redis longer than any client. */
export function failFastOptions(timeouts: {
  readonly redisTimeout: number;
  readonly redisConnectTimeout: number;
}): Omit<RedisOptions, 'replyMapping'> {
  return {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Lookups are bounded by the tier itself; this only keeps unanswered commands from piling up.
    commandTimeout: 10 * timeouts.redisTimeout,
    connectTimeout: timeouts.redisConnectTimeout,
    // A peer that vanished without a word leaves a connection that fails for many minutes: try a new one.
    socketTimeout: Math.max(1000, 10 * timeouts.redisTimeout),
    keepAlive: 10_000,
    enableReadyCheck: true,
    retryStrategy: (times) => Math.min(times * 50, 1000),
  };
}

/** @throws ConfigurationError naming the options that a client of the user's lacks. */
export function checkFailFast(client: Redis | Cluster): void {
  const missing: string[] = [];
  // A cluster has a queue of its own, and ignores the option of its nodes.
  if (client.options.enableOfflineQueue !== false) missing.push('enableOfflineQueue: false');
  const node: RedisOptions = client.isCluster
    ? ((client as Cluster).options.redisOptions ?? {})
    : (client as Redis).options;
  if (node.commandTimeout === undefined)
    missing.push(client.isCluster ? 'redisOptions.commandTimeout: 50' : 'commandTimeout: 50');
  if (!client.isCluster && (node.maxRetriesPerRequest ?? 20) !== 0) missing.push('maxRetriesPerRequest: 0');
  if (!client.isCluster && node.autoResendUnfulfilledCommands !== false)
    missing.push('autoResendUnfulfilledCommands: false');
  if (missing.length > 0) {
    throw new ConfigurationError(
      `The option \`redis\`: the client would hang while Redis is down. Make it with { ${missing.join(', ')} }.`,
    );
  }
}
