/** A proxy between a client and Redis that counts, delays, black-holes, cuts and refuses. */

import { Lane } from './lane.ts';
import { proxyTarget, startProxyListener, throughProxy } from './proxy-listener.ts';
import { respRequests } from './resp-requests.ts';

/** What has passed since the proxy started or was last reset. */
export interface RedisCounts {
  readonly connections: number;
  /** How often a client sent something after it had been given an answer; what is sent without waiting shares one. */
  readonly roundTrips: number;
  /** Names of the commands sent, in order, the driver's own at the start of a connection included. */
  readonly commands: readonly string[];
}

/** The proxy, until it is closed. */
export interface RedisProxy {
  /** The server's URL, by way of the proxy. */
  readonly url: string;
  counts(): RedisCounts;
  /** Sets the counts to zero. */
  reset(): void;
  /** Keeps back every answer for so long. */
  delay(ms: number): void;
  /** Lets nothing through until `healAll`: from the client, from the server, or both. */
  blackhole(direction?: 'client' | 'server' | 'both'): void;
  /** Ends every connection that exists. */
  cut(): void;
  /** Refuses new connections until `healAll`. */
  refuse(): Promise<void>;
  /** Ends delays and black holes, lets through what they held, and listens again. */
  healAll(): Promise<void>;
  close(): Promise<void>;
}

type Item = Buffer | 'end';

/** Starts a proxy in front of a Redis server. */
export async function startRedisProxy({ target }: { readonly target: string }): Promise<RedisProxy> {
  const lanes = { client: new Set<Lane<Item>>(), server: new Set<Lane<Item>>() };
  const closed = { client: false, server: false };
  let releases: (() => void)[] = [];
  let delayMs = 0;
  let counts = emptyCounts();

  const listener = await startProxyListener(proxyTarget(target, 6379), ({ client, server }) => {
    const readCommands = respRequests();
    let answered = true;
    counts.connections += 1;
    for (const [from, socket, other] of [
      ['client', client, server],
      ['server', server, client],
    ] as const) {
      const lane = new Lane<Item>({
        decide: () => true,
        pass: (item) => {
          if (from === 'server') answered = true;
          if (item === 'end') other.end();
          else other.write(item);
        },
      });
      const push = (item: Item): void => {
        if (from === 'server' && delayMs > 0) setTimeout(() => lane.push(item), delayMs);
        else lane.push(item);
      };
      lanes[from].add(lane);
      if (closed[from]) releases.push(lane.hold());
      socket.on('data', (chunk: Buffer) => {
        if (from === 'client') {
          if (answered) counts.roundTrips += 1;
          answered = false;
          counts.commands.push(...readCommands(chunk));
        }
        push(chunk);
      });
      socket.on('end', () => push('end'));
      socket.on('close', () => {
        push('end');
        lanes[from].delete(lane);
      });
    }
  });

  return {
    url: throughProxy(target, listener.port),
    counts: () => ({ ...counts, commands: [...counts.commands] }),
    reset: () => {
      counts = emptyCounts();
    },
    delay: (ms) => {
      delayMs = ms;
    },
    blackhole: (direction = 'both') => {
      for (const from of direction === 'both' ? (['client', 'server'] as const) : [direction]) {
        closed[from] = true;
        for (const lane of lanes[from]) releases.push(lane.hold());
      }
    },
    cut: listener.cut,
    refuse: listener.refuse,
    healAll: async () => {
      delayMs = 0;
      closed.client = false;
      closed.server = false;
      for (const release of releases.splice(0)) release();
      await listener.accept();
    },
    close: listener.close,
  };
}

function emptyCounts(): { connections: number; roundTrips: number; commands: string[] } {
  return { connections: 0, roundTrips: 0, commands: [] };
}
