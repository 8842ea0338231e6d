/** Connections that break in the middle of a call: what counts as published is there. */

import { redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { Redis } from 'ioredis';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { proxyTarget, startProxyListener } from '../../support/proxy-listener.ts';
import { eventually } from '../../support/signal.ts';
import { eventOf, newStream, PATIENCE, startStreamCase } from './stream-case.ts';
import type { StreamCase } from './stream-case.ts';

let setting: StreamCase;

beforeAll(async () => {
  setting = await startStreamCase();
});

interface CuttingProxy {
  readonly port: number;
  /** Ends the connection after so many bytes more, of the client or of the server. */
  cutAfter(bytes: number, from: 'client' | 'server'): void;
}

async function startCuttingProxy(): Promise<CuttingProxy> {
  let cut: { bytes: number; readonly from: 'client' | 'server' } | undefined;
  const listener = await startProxyListener(proxyTarget(setting.server.url, 6379), ({ client, server }) => {
    for (const [from, socket, other] of [
      ['client', client, server],
      ['server', server, client],
    ] as const) {
      socket.on('close', () => other.destroy());
      socket.on('data', (chunk: Buffer) => {
        if (cut?.from !== from || chunk.length < cut.bytes) {
          if (cut?.from === from) cut.bytes -= chunk.length;
          other.write(chunk);
          return;
        }
        const { bytes } = cut;
        cut = undefined;
        // In order, so that what was let through arrives.
        other.end(chunk.subarray(0, bytes), () => socket.destroy());
      });
    }
  });
  onTestFinished(() => listener.close());
  return {
    port: listener.port,
    cutAfter: (bytes, from) => {
      cut = { bytes, from };
    },
  };
}

const EVENTS = 8;

test.each([
  ['sends again what was not answered', {}],
  ['fails instead', { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 }],
  ['waits in vain', { autoResendUnfulfilledCommands: false, commandTimeout: 100 }],
])(
  'wherever the connection breaks, what counts as published is in the stream, where the client %s',
  async (_, options) => {
    const proxy = await startCuttingProxy();
    const redis = new Redis({ port: proxy.port, retryStrategy: () => 1, ...options });
    redis.on('error', () => {});
    onTestFinished(() => redis.disconnect());
    const tally = { published: 0, failed: 0, unseen: 0, twice: 0 };
    for (const from of ['client', 'server'] as const) {
      for (let bytes = 1; bytes < (from === 'client' ? 2400 : 180); bytes += from === 'client' ? 290 : 17) {
        const stream = newStream();
        const publisher = redisStreamsPublisher({ redis, stream });
        const events = Array.from({ length: EVENTS }, (_none, at) => eventOf(`${at}`));
        await eventually(() => redis.ping(), PATIENCE);
        proxy.cutAfter(bytes, from);
        const outcomes = await publisher.publish(events);
        const there = (await setting.entries(stream)).map((fields) => fields.get('event-id'));
        expect(outcomes).toHaveLength(EVENTS);
        for (const [at, outcome] of outcomes.entries()) {
          const times = there.filter((id) => id === events[at]!.id).length;
          if (outcome === undefined) {
            tally.published += 1;
            if (times === 0) tally.unseen += 1;
          } else tally.failed += 1;
          if (times > 1) tally.twice += 1;
        }
      }
    }
    expect(tally.unseen).toBe(0);
    // What the cuts have brought about, or this would show nothing.
    if (redis.options.autoResendUnfulfilledCommands) expect(tally.twice).toBeGreaterThan(0);
    else expect(tally.failed).toBeGreaterThan(0);
    expect(tally.published).toBeGreaterThan(0);
  },
);
