/**
 * A relay to Redis Streams, and a loop that awaits one XADD after the other, by turns in one process; then how long an
 * event takes from its commit to the broker at a steady rate.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { createIdempotency } from 'graphql-idempotency';
import type { OutboxEvent, Publisher } from 'graphql-idempotency';
import { redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { Redis } from 'ioredis';
import pg from 'pg';
import { insertEvents } from './insert-events.ts';
import { percentile } from './percentile.ts';

/** What is measured, sent to the process that started this one. */
export interface RelayFigures {
  /** Events per second, of each round. */
  readonly relay: readonly number[];
  /** The same events, one awaited XADD each. */
  readonly loop: readonly number[];
  readonly lag: { readonly rate: number; readonly p50Ms: number; readonly p99Ms: number };
}

const EVENTS = 20_000;
const LAG_RATE = 200;
const LAG_SECONDS = 5;
const rounds = Number(process.env['BENCH_ROUNDS']);

const url = process.env['BENCH_DATABASE_URL']!;
const idempotency = createIdempotency({
  scope: () => 'bench-relay',
  postgres: url,
  redis: false,
  migrate: true,
  logger: { info: () => {}, warn: console.warn, error: console.error },
});
process.on('disconnect', () => process.exit());
await idempotency.migrate();
const client = new pg.Client({ connectionString: url });
await client.connect();
const redis = new Redis(process.env['BENCH_REDIS_URL']!);
redis.on('error', console.error);
const toRedis = redisStreamsPublisher({ redis });
await client.query('truncate graphql_idempotency.outbox');

const relayRates: number[] = [];
const loopRates: number[] = [];
// The first round warms up.
for (let round = 0; round <= rounds; round += 1) {
  const relayed = await relayRate();
  const looped = await loopRate(relayed.events);
  if (round === 0) continue;
  relayRates.push(relayed.rate);
  loopRates.push(looped);
}
const lags = await steadyLags();
const figures: RelayFigures = {
  relay: relayRates,
  loop: loopRates,
  lag: { rate: LAG_RATE, p50Ms: percentile(lags, 0.5), p99Ms: percentile(lags, 0.99) },
};
process.send!(figures, () => process.exit());

async function relayRate(): Promise<{ readonly rate: number; readonly events: readonly OutboxEvent[] }> {
  await redis.flushall();
  await insertEvents(client, EVENTS, 'bench');
  await client.query('checkpoint');
  const events: OutboxEvent[] = [];
  const noting: Publisher = {
    publish(given) {
      events.push(...given);
      return toRedis.publish(given);
    },
  };
  const relay = idempotency.relay({ publisher: noting });
  const started = performance.now();
  const { published } = await relay.drain();
  const seconds = (performance.now() - started) / 1000;
  if (published !== EVENTS || (await redis.xlen('bench')) < EVENTS) throw new Error('events are missing');
  return { rate: EVENTS / seconds, events };
}

async function loopRate(events: readonly OutboxEvent[]): Promise<number> {
  await redis.flushall();
  const started = performance.now();
  for (const { id, topic, key, headers, payload, createdAt } of events) {
    const named = { ...headers, 'event-id': id, 'event-topic': topic, 'event-time': createdAt.toISOString() };
    const all = key === undefined ? named : { ...named, 'event-key': encodeURIComponent(key) };
    await redis.xadd(topic, '*', ...Object.entries(all).flat(), 'event-payload', payload);
  }
  return events.length / ((performance.now() - started) / 1000);
}

/** From the end of the resolver, when the COMMIT is about to be sent, to the broker's answer. */
async function steadyLags(): Promise<readonly number[]> {
  const ended = new Map<string, number>();
  const all: number[] = [];
  const timing: Publisher = {
    async publish(events) {
      const outcomes = await toRedis.publish(events);
      const now = performance.now();
      for (const { id } of events) all.push(now - ended.get(id)!);
      return outcomes;
    },
  };
  const relay = idempotency.relay({ publisher: timing });
  relay.start();
  const calls: Promise<unknown>[] = [];
  const started = performance.now();
  for (let n = 0; n < LAG_RATE * LAG_SECONDS; n += 1) {
    const waitMs = started + (n * 1000) / LAG_RATE - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const call = idempotency.guard({ scope: 'lag', key: `${n}` }, ({ outbox }) => {
      const id = outbox.add({ topic: 'lag', payload: { n } });
      ended.set(id, performance.now());
    });
    calls.push(call);
  }
  await Promise.all(calls);
  while (all.length < calls.length) await sleep(10);
  await relay.stop();
  return all;
}
