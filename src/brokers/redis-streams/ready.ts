/** Waits until a client of Redis can be asked, instead of letting commands queue up in it. */

import type { Cluster, Redis } from 'ioredis';

export type RedisClient = Redis | Cluster;

/**
 * Resolves when the client is connected: at once, or when it is. Rejects where it has lost its connection or loses it
 * meanwhile, and where the signal aborts first.
 */
export function connected(client: RedisClient, signal?: AbortSignal): Promise<void> {
  if (client.status === 'ready') return Promise.resolve();
  // Made with `lazyConnect`. Why it fails is told by its events.
  if (client.status === 'wait') client.connect().catch(() => {});
  else if (client.status !== 'connecting' && client.status !== 'connect') return Promise.reject(offline());
  return new Promise((resolve, reject) => {
    const listeners = {
      ready: () => settle(resolve),
      close: () => settle(() => reject(offline())),
      end: () => settle(() => reject(offline())),
    };
    const aborted = listeners.close;
    const settle = (how: () => void): void => {
      for (const [event, listener] of Object.entries(listeners)) client.off(event, listener);
      signal?.removeEventListener('abort', aborted);
      how();
    };
    for (const [event, listener] of Object.entries(listeners)) client.on(event, listener);
    signal?.addEventListener('abort', aborted);
    if (signal?.aborted === true) aborted();
  });
}

function offline(): Error {
  return new Error('the client is not connected to Redis');
}
