/** A relay publishes to JetStream whatever happens to the server: nothing is lost, stored twice, or out of order. */

import type { Publisher } from 'graphql-idempotency';
import { jetStreamPublisher } from 'graphql-idempotency/nats';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { startOutboxCase } from '../../outbox/outbox-case.ts';
import type { OutboxCase } from '../../outbox/outbox-case.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { type NatsCase, startNatsCase } from './nats-case.ts';

let nats: NatsCase;
let setting: OutboxCase;
beforeAll(async () => {
  [nats, setting] = await Promise.all([startNatsCase(), startOutboxCase()]);
});
beforeEach(async () => {
  await setting.sql('truncate graphql_idempotency.outbox');
});

const PATIENCE = { timeoutMs: 30_000 };
const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);
const empty = async (): Promise<boolean> => (await setting.rows()).length === 0;

test('what a server that is killed has not acknowledged fails, and is published when it is back', async () => {
  const stream = await nats.stream();
  const ids = await setting.add(...numbers(60).map((payload) => ({ topic: `${stream}.in`, payload })));
  const inner = jetStreamPublisher({ js: nats.js, timeoutMs: 300 });
  const failed = deferred<unknown>();
  let waves = 0;
  let killed: Promise<void> | undefined;
  const publisher: Publisher = {
    publish: async (events) => {
      waves += 1;
      const outcomes = inner.publish(events);
      // While the third ten are under way: how far they come is the server's business.
      if (waves === 3) killed = nats.server.kill();
      await killed;
      return outcomes;
    },
  };
  // One that is acknowledged too late before that fails as well.
  const onError = (error: unknown): void => {
    if (killed !== undefined) failed.resolve(error);
  };
  const relay = setting.relay({ publisher, batchSize: 10, maxAttempts: 1000, onError });
  relay.start();
  expect(String(await failed.promise)).toMatch(/within 300 ms/);
  expect(await empty()).toBe(false);
  await killed;
  await nats.server.start();
  await eventually(empty, PATIENCE);
  const stored = await nats.stored(stream);
  expect(stored.map(({ headers }) => headers.get('event-id')![0]!).toSorted()).toEqual(ids.toSorted());
});

test('events of a key are stored in their order, once, even where acknowledgements are lost', async () => {
  const stream = await nats.stream();
  const keys = ['a', 'b', 'c'];
  await setting.add(
    ...numbers(36).map((at) => ({
      topic: `${stream}.${at % 5}`,
      key: keys[at % 3]!,
      payload: Math.floor(at / 3),
    })),
  );
  const inner = jetStreamPublisher({ js: nats.js });
  let lost = 0;
  const publisher: Publisher = {
    publish: async (events) => {
      const outcomes = await inner.publish(events);
      return outcomes.map((outcome, at) => {
        const { attempt, payload } = events[at]!;
        if (attempt > 1 || Number(payload) % 4 !== 1) return outcome;
        lost += 1;
        return new Error('nobody has heard it');
      });
    },
  };
  for (const batchSize of [5, 100]) setting.relay({ publisher, batchSize }).start();
  await eventually(empty, PATIENCE);
  expect(lost).toBe(9);
  const stored = await nats.stored(stream);
  for (const key of keys) {
    const ofKey = stored.filter(({ headers }) => headers.get('event-key')![0] === key);
    expect(ofKey.map(({ text }) => Number(text))).toEqual(numbers(12));
  }
});

test('an event for which there is no stream waits for one, and keeps no other waiting', async () => {
  const stream = await nats.stream();
  await setting.add({ topic: 'later.in', payload: 'later' }, { topic: `${stream}.in`, payload: 'now' });
  const failed = deferred<unknown>();
  const relay = setting.relay({
    publisher: jetStreamPublisher({ js: nats.js }),
    maxAttempts: 1000,
    onError: failed.resolve,
  });
  relay.start();
  expect(String(await failed.promise)).toMatch(/No stream takes the NATS subject "later\.in"/);
  await eventually(async () => (await nats.stored(stream)).length === 1, PATIENCE);
  const late = await nats.stream({ subjects: ['later.>'] });
  await eventually(empty, PATIENCE);
  expect((await nats.stored(late)).map(({ text }) => text)).toEqual(['"later"']);
});
