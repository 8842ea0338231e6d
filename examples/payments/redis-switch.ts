/** A way to Redis that can be cut, for the checkout page. The example's server reaches its Redis through it. */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface RedisSwitch {
  /** The URL of Redis by way of the switch; `undefined` where there is no switch. */
  readonly url: string | undefined;
  /** Why there is no switch. */
  readonly missing: string | undefined;
  readonly isDown: boolean;
  /** Cuts what is connected, and lets nobody through until it is told otherwise. */
  setDown(down: boolean): void;
}

const { IDEMPOTENCY_REDIS_URL, REDIS_URL } = process.env;

export const redisSwitch: RedisSwitch = await switchFor(IDEMPOTENCY_REDIS_URL || REDIS_URL);

async function switchFor(redisUrl: string | undefined): Promise<RedisSwitch> {
  if (!redisUrl) return none('No Redis is configured: set REDIS_URL.');
  // What the URL gets wrong, the library says better. TLS would find the switch under the wrong name.
  if (!URL.canParse(redisUrl) || new URL(redisUrl).protocol !== 'redis:') {
    return none('Redis is reached over TLS, which cannot be cut from here.');
  }
  return startSwitch(new URL(redisUrl));
}

function none(missing: string): RedisSwitch {
  return { url: undefined, missing, isDown: false, setDown: () => undefined };
}

async function startSwitch(redisUrl: URL): Promise<RedisSwitch> {
  const host = redisUrl.hostname.replace(/^\[|\]$/g, '');
  const port = Number(redisUrl.port || 6379);
  const clients = new Set<Socket>();
  let isDown = false;

  // It goes on listening while it is down: the port would be anybody's otherwise.
  const server = createServer((client) => {
    client.on('error', () => client.destroy());
    if (isDown) return void client.destroy();
    const redis = connect(port, host);
    redis.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.on('close', () => {
      clients.delete(client);
      redis.destroy();
    });
    clients.add(client);
    client.pipe(redis).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // The process ends when everything else has ended.
  server.unref();

  const url = new URL(redisUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    missing: undefined,
    get isDown() {
      return isDown;
    },
    setDown(down) {
      isDown = down;
      if (down) for (const client of clients) client.destroy();
    },
  };
}
