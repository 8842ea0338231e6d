/** Messages are acknowledged when they are done with, and not before, and go to nobody else while they are worked on. */

import { AckPolicy } from '@nats-io/jetstream';
import { jetStreamPublisher } from 'graphql-idempotency/nats';
import type { ReceivedMessage } from 'graphql-idempotency/nats';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { readConsumerOptions } from '../../../src/brokers/consumer-settings.ts';
import { Deliveries } from '../../../src/brokers/nats/deliveries.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { consume, textOf } from './consume.ts';
import { eventFor, nanos, type NatsCase, startNatsCase } from './nats-case.ts';

let nats: NatsCase;
beforeAll(async () => {
  nats = await startNatsCase();
});

test('a message is acknowledged when its handler has resolved, and not before', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, 'm');
  const begun = deferred();
  const release = deferred();
  await consume(nats, stream, async () => {
    begun.resolve();
    await release.promise;
  });
  await begun.promise;
  expect(await nats.jsm.consumers.info(stream, 'worker')).toMatchObject({ num_ack_pending: 1 });
  release.resolve();
  await eventually(async () => (await nats.unacknowledged(stream)) === 0);
});

test('a message whose handler fails comes again, each time as one more delivery', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, 'm');
  const seen: ReceivedMessage[] = [];
  const told: unknown[][] = [];
  const onError = (...args: unknown[]): void => void told.push(args);
  await consume(
    nats,
    stream,
    (message) => {
      seen.push(message);
      if (seen.length === 1) throw new Error('thrown');
      return seen.length === 2 ? Promise.reject(new Error('rejected')) : undefined;
    },
    { onError },
  );
  await eventually(async () => (await nats.unacknowledged(stream)) === 0);
  expect(seen.map(({ deliveries }) => deliveries)).toEqual([1, 2, 3]);
  expect(new Set(seen.map(({ messageId }) => messageId)).size).toBe(1);
  expect(told.map(([error]) => (error as Error).message)).toEqual(['thrown', 'rejected']);
  expect(told.map(([, message]) => message)).toEqual(seen.slice(0, 2));
});

test('a message that fails waits, and keeps no other waiting', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, 'bad', 'good');
  const seen: string[] = [];
  await consume(
    nats,
    stream,
    (message) => {
      seen.push(textOf(message));
      if (textOf(message) === 'bad') throw new Error('no');
    },
    // Too long to be over in this test, however small the share of it.
    { concurrency: 1, backoffMs: 86_400_000, maxBackoffMs: 86_400_000 },
  );
  await eventually(async () => (await nats.unacknowledged(stream)) === 1);
  expect(seen).toEqual(['bad', 'good']);
});

test('a handler may take longer than ack_wait: nobody else gets its message', async () => {
  const stream = await nats.stream();
  await nats.worker(stream, { ack_wait: nanos(4000) });
  await nats.jsm.consumers.add(stream, {
    durable_name: 'clock',
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(4000),
  });
  await nats.send(stream, 'm');
  const begun: ReceivedMessage[] = [];
  const release = deferred();
  const slow = async (message: ReceivedMessage): Promise<void> => {
    begun.push(message);
    await release.promise;
  };
  await consume(nats, stream, slow);
  await consume(nats, stream, slow);
  // Whoever says nothing of a message is sent it again: so it is known that the time is over, more than twice.
  const clock = await nats.js.consumers.get(stream, 'clock');
  await eventually(async () => (await clock.next({ expires: 2000 }))?.info.deliveryCount === 3, {
    timeoutMs: 40_000,
  });
  expect(begun).toHaveLength(1);
  expect(await nats.jsm.consumers.info(stream, 'worker')).toMatchObject({ num_redelivered: 0 });
  release.resolve();
  await eventually(async () => (await nats.unacknowledged(stream)) === 0);
  expect(begun).toHaveLength(1);
});

test('a message that the server sends again while it is handled here is not handled twice at once', async () => {
  const stream = await nats.stream();
  await nats.worker(stream, { ack_wait: nanos(3000) });
  await nats.send(stream, 'm');
  const words = nats.connection.subscribe(`$JS.ACK.${stream}.worker.>`);
  onTestFinished(() => words.unsubscribe());
  let begun = 0;
  const release = deferred();
  await consume(nats, stream, async () => {
    begun += 1;
    await release.promise;
  });
  // The consumer says of each delivery, to the subject of that delivery, that it is worked on.
  let again = false;
  for await (const word of words) {
    const [deliveries] = word.subject.split('.').slice(4);
    if (deliveries !== '1') break;
    if (!again) nats.connection.publish(word.subject, '-NAK');
    again = true;
  }
  expect(begun).toBe(1);
  release.resolve();
  await eventually(async () => (await nats.unacknowledged(stream)) === 0);
  expect(begun).toBe(1);
});

test('no more messages are taken than may be handled at once', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, ...Array.from({ length: 30 }, (_, at) => `${at}`));
  let active = 0;
  const counts: number[] = [];
  const handled: string[] = [];
  await consume(
    nats,
    stream,
    async (message) => {
      active += 1;
      counts.push(active, (await nats.jsm.consumers.info(stream, 'worker')).num_ack_pending);
      active -= 1;
      handled.push(textOf(message));
    },
    { concurrency: 3 },
  );
  await eventually(async () => (await nats.unacknowledged(stream)) === 0);
  expect(new Set(handled).size).toBe(30);
  expect(Math.max(...counts)).toBe(3);
});

test('what comes beyond that, after the connection was broken, waits until there is a slot', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, '0', '1', '2', '3');
  const begun: string[] = [];
  const releases: (() => void)[] = [];
  const deliveries = new Deliveries(
    readConsumerOptions({ concurrency: 2 }, { name: 'consumeIt', own: [] }),
    async (message) => {
      begun.push(textOf(message));
      await new Promise<void>((resolve) => releases.push(resolve));
    },
  );
  const worker = await nats.js.consumers.get(stream, 'worker');
  for await (const message of await worker.fetch({ max_messages: 4, expires: 1000 }))
    deliveries.take(message);
  expect(begun).toEqual(['0', '1']);
  releases.shift()!();
  await eventually(() => begun.length === 3);
  expect(begun).toEqual(['0', '1', '2']);
  await eventually(() => {
    while (releases.length > 0) releases.shift()!();
    return begun.length === 4;
  });
  releases.shift()?.();
  await deliveries.idle();
  expect(await nats.unacknowledged(stream)).toBe(0);
});

test('messages of one key are handled one after the other, in their order, and others beside them', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  const publisher = jetStreamPublisher({ js: nats.js });
  const keys = ['a', 'b', 'ü/ %'];
  for (let at = 0; at < 5; at += 1) {
    await publisher.publish(
      keys.map((key) => eventFor(`${stream}.in`, { key, payload: Buffer.from(`${at}`) })),
    );
  }
  const active = new Set<string>();
  const together: number[] = [];
  const byKey = new Map<string, string[]>(keys.map((key) => [key, []]));
  await consume(nats, stream, async (message) => {
    const key = message.key!;
    expect(active.has(key)).toBe(false);
    active.add(key);
    together.push(active.size);
    await nats.connection.flush();
    active.delete(key);
    byKey.get(key)!.push(textOf(message));
  });
  await eventually(async () => (await nats.unacknowledged(stream)) === 0);
  expect([...byKey.values()]).toEqual(keys.map(() => ['0', '1', '2', '3', '4']));
  expect(Math.max(...together)).toBeGreaterThan(1);
});

test('with max_ack_pending 1 messages are handled in their order even when they fail', async () => {
  const stream = await nats.stream();
  await nats.worker(stream, { max_ack_pending: 1 });
  await nats.send(stream, '0', '1', '2', '3');
  const done: string[] = [];
  await consume(nats, stream, (message) => {
    if (message.deliveries < 3) throw new Error('not yet');
    done.push(textOf(message));
  });
  await eventually(async () => (await nats.unacknowledged(stream)) === 0);
  expect(done).toEqual(['0', '1', '2', '3']);
});

test('an event comes as it was published', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  const event = eventFor(`${stream}.in`, {
    key: 'Ärger: 1\n',
    payload: Buffer.from([0, 255, 10, 13, 128]),
    headers: { 'content-type': 'application/octet-stream', note: 'Zoë €' },
  });
  await jetStreamPublisher({ js: nats.js }).publish([event]);
  const received = deferred<ReceivedMessage>();
  await consume(nats, stream, (message) => received.resolve(message));
  expect(await received.promise).toEqual({
    messageId: event.id,
    topic: event.topic,
    key: event.key,
    payload: event.payload,
    headers: { ...event.headers, 'event-time': '1970-01-01T00:00:00.000Z' },
    deliveries: 1,
  });
});

test('a message of others is known by its message id, or else by its place', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  const { headers } = await import('@nats-io/nats-core');
  const given = headers();
  given.append('X-Trace', 'one');
  given.append('X-Trace', 'two');
  await nats.js.publish(`${stream}.a`, 'named', { msgID: 'their-id', headers: given });
  await nats.js.publish(`${stream}.b`, 'unnamed');
  const received: ReceivedMessage[] = [];
  await consume(nats, stream, (message) => void received.push(message), { concurrency: 1 });
  await eventually(() => received.length === 2);
  expect(received).toEqual([
    {
      messageId: 'their-id',
      topic: `${stream}.a`,
      key: undefined,
      payload: Buffer.from('named'),
      headers: { 'x-trace': 'one, two' },
      deliveries: 1,
    },
    {
      messageId: `${stream}:2`,
      topic: `${stream}.b`,
      key: undefined,
      payload: Buffer.from('unnamed'),
      headers: {},
      deliveries: 1,
    },
  ]);
});
