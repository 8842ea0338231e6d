/** A proxy between a client and Postgres that counts exactly, and can stall, drop or cut at one chosen message. */

import type { Socket } from 'node:net';
import { Lane } from './lane.ts';
import { type PostgresCounts, PostgresTally } from './postgres-tally.ts';
import { clientFramer, serverFramer, type Framer, type WireMessage } from './postgres-wire.ts';
import { type ProxyLink, proxyTarget, startProxyListener, throughProxy } from './proxy-listener.ts';
import {
  type MessageMatch,
  type ProxiedMessage,
  type ProxyAction,
  ProxyRules,
  type ProxyRule,
} from './proxy-rules.ts';

/** Options of `startPostgresProxy`. */
export interface PostgresProxyOptions {
  /** The URL of the server. */
  readonly target: string;
  /**
   * How long every answer is kept back. What a client sends without waiting can arrive in pieces; only a delay
   * longer than the gaps between them makes it certain that the later pieces did not wait for the answer to the
   * earlier ones. Set it (25, say) where round trips are counted.
   * @defaultValue 0
   */
  readonly replyDelayMs?: number;
}

/** The proxy, until it is closed. */
export interface PostgresProxy {
  /** The server's URL, by way of the proxy. */
  readonly url: string;
  /** Does something at the next message that matches; see `ProxyAction`. */
  on(match: MessageMatch, action: ProxyAction, times?: number): ProxyRule;
  counts(): PostgresCounts;
  /** Sets the counts to zero. */
  reset(): void;
  /** Lets nothing through in either direction, not even the end of a connection, until `healAll`. */
  partition(): void;
  /** Forgets the rules, releases what is held and listens again. */
  healAll(): Promise<void>;
  /** Ends every connection that exists. */
  cut(): void;
  /** Refuses new connections until `healAll`. */
  refuse(): Promise<void>;
  /** Connects new clients to another server: what an address that follows the primary does in a failover. */
  retarget(url: string): void;
  close(): Promise<void>;
}

/** What travels in a lane: a message, or the end of the direction. */
type Item = ProxiedMessage | 'end';

/** Starts a proxy in front of a Postgres server. */
export async function startPostgresProxy({
  target,
  replyDelayMs = 0,
}: PostgresProxyOptions): Promise<PostgresProxy> {
  const tally = new PostgresTally();
  const rules = new ProxyRules();
  const lanes = new Set<Lane<Item>>();
  let connections = 0;
  let partitioned = false;

  const listener = await startProxyListener(proxyTarget(target, 5432), (link) => {
    const connection = tally.connection();
    const number = (connections += 1);
    const numbered =
      (frame: Framer) =>
      (chunk: Buffer): ProxiedMessage[] =>
        frame(chunk).map((message) => ({ ...message, connection: number }));
    const toServer: Lane<Item> = makeLane(link, 'server', () => toClient);
    const toClient: Lane<Item> = makeLane(link, 'client', () => toServer, connection.delivered);
    read(
      link.client,
      numbered(clientFramer()),
      0,
      toServer,
      (message) => {
        if (message.type !== 'SSLRequest' && message.type !== 'GSSENCRequest') return true;
        link.client.write('N');
        return false;
      },
      connection.sent,
    );
    read(link.server, numbered(serverFramer()), replyDelayMs, toClient, () => true, connection.answered);
    for (const lane of [toServer, toClient]) {
      lanes.add(lane);
      if (partitioned) rules.keep(lane.hold());
    }
    link.client.on('close', () => lanes.delete(toClient));
    link.server.on('close', () => lanes.delete(toServer));
  });

  function makeLane(
    link: ProxyLink,
    to: keyof ProxyLink,
    opposite: () => Lane<Item>,
    delivered?: (message: WireMessage) => void,
  ): Lane<Item> {
    const pass = (item: Item): void => {
      if (item === 'end') {
        link[to].end();
        return;
      }
      link[to].write(item.bytes);
      delivered?.(item);
    };
    const lane: Lane<Item> = new Lane({
      pass,
      decide: (item) =>
        item === 'end' ||
        rules.apply(item, {
          hold: () => lane.hold(item),
          holdOpposite: () => opposite().hold(),
          cut: (afterwards) => {
            if (afterwards) pass(item);
            lane.close();
            cutLink(link, to);
          },
        }),
    });
    return lane;
  }

  return {
    url: throughProxy(target, listener.port),
    on: (match, action, times) => rules.add(match, action, times),
    counts: () => tally.counts(),
    reset: () => tally.reset(),
    partition: () => {
      partitioned = true;
      for (const lane of lanes) rules.keep(lane.hold());
    },
    healAll: async () => {
      partitioned = false;
      rules.clear();
      await listener.accept();
    },
    cut: listener.cut,
    refuse: listener.refuse,
    retarget: (url) => listener.retarget(proxyTarget(url, 5432)),
    close: listener.close,
  };
}

/** What was passed on still arrives where it was going; the other end sees the connection gone at once. */
function cutLink({ client, server }: ProxyLink, to: keyof ProxyLink): void {
  const [receiver, sender] = to === 'server' ? [server, client] : [client, server];
  sender.destroy();
  receiver.end();
}

function read(
  socket: Socket,
  frame: (chunk: Buffer) => ProxiedMessage[],
  delayMs: number,
  lane: Lane<Item>,
  accepts: (message: WireMessage) => boolean,
  count: (message: WireMessage) => void,
): void {
  const push = (items: readonly Item[]): void => {
    for (const item of items) lane.push(item);
  };
  // Timers of one length fire in the order in which they were set.
  const later = (items: readonly Item[]): void => {
    if (delayMs === 0) push(items);
    else setTimeout(push, delayMs, items);
  };
  socket.on('data', (chunk: Buffer) => {
    const messages = frame(chunk).filter(accepts);
    for (const message of messages) count(message);
    later(messages);
  });
  socket.on('end', () => later(['end']));
  socket.on('close', () => later(['end']));
}
