/** What a relay publishes is in Kafka: its form, its order, and what becomes of what cannot be sent. */

import type { OutboxEvent } from 'graphql-idempotency';
import { kafkaPublisher } from 'graphql-idempotency/kafka';
import { Partitioners } from 'kafkajs';
import { expect, test } from 'vitest';
import { startOutboxCase } from '../../outbox/outbox-case.ts';
import { eventually } from '../../support/signal.ts';
import { startKafkaCase } from './kafka-case.ts';

const kafka = await startKafkaCase();

test('an event is in Kafka with its key, its payload as it is, and headers that say which it is', async () => {
  const setting = await startOutboxCase();
  const { value: id } = await setting.idempotency.guard({ scope: 's', key: 'k' }, ({ outbox }) =>
    outbox.add({
      topic: 'payment.captured',
      key: 'café 1',
      payload: { amount: '7.00', to: 'café' },
      headers: { trace: 'träce' },
    }),
  );
  setting.relay({ publisher: kafkaPublisher({ producer: await kafka.producer() }) }).start();
  await eventually(async () => (await setting.rows()).length === 0, { what: 'the outbox is empty' });
  const [entry, ...others] = await kafka.read('payment.captured');
  expect(others).toEqual([]);
  expect(entry).toMatchObject({ key: 'café 1', payload: '{"amount":"7.00","to":"café"}' });
  expect(entry!.headers).toEqual({
    'content-type': 'application/json',
    trace: 'träce',
    'event-id': id,
    'event-topic': 'payment.captured',
    'event-key': 'caf%C3%A9%201',
    'event-time': expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
  });
});

test('the events of a key are in one partition, in the order in which they were added', async () => {
  const setting = await startOutboxCase();
  const keys = Array.from({ length: 12 }, (_, at) => `account-${at}`);
  const events = Array.from({ length: 5 }, (_, n) =>
    keys.map((key) => ({ topic: 'orders', key, payload: n })),
  );
  await setting.add(...events.flat());
  const publisher = kafkaPublisher({ producer: await kafka.producer() });
  for (let relays = 0; relays < 2; relays += 1) setting.relay({ publisher, batchSize: 7 }).start();
  await eventually(async () => (await setting.rows()).length === 0, { what: 'the outbox is empty' });
  const entries = await kafka.read('orders');
  expect(new Set(entries.map(({ partition }) => partition)).size).toBeGreaterThan(1);
  for (const key of keys) {
    const own = entries.filter((entry) => entry.key === key);
    expect(own.map(({ payload }) => payload)).toEqual(['0', '1', '2', '3', '4']);
    expect(new Set(own.map(({ partition }) => partition)).size).toBe(1);
  }
});

test('an event without a key has none in Kafka either', async () => {
  const publisher = kafkaPublisher({ producer: await kafka.producer() });
  expect(await publisher.publish([event({ topic: 'keyless' })])).toEqual([undefined]);
  const [entry] = await kafka.read('keyless');
  expect(entry!.key).toBeNull();
  expect(entry!.headers).not.toHaveProperty('event-key');
});

test('an event whose topic is none of Kafka fails, and takes no other with it', async () => {
  const publisher = kafkaPublisher({ producer: await kafka.producer() });
  const topics = ['fine', 'a:b', 'fine', 'a/b', '..', 'also-fine'];
  const outcomes = await publisher.publish(topics.map((topic) => event({ topic })));
  expect(outcomes.map((outcome) => outcome?.message.split(',')[0])).toEqual([
    undefined,
    '"a:b" is no Kafka topic',
    undefined,
    '"a/b" is no Kafka topic',
    '".." is no Kafka topic',
    undefined,
  ]);
  expect(await kafka.read('fine')).toHaveLength(2);
  expect(await kafka.read('also-fine')).toHaveLength(1);
});

test('the option `topic` names another one; where it throws, its event fails alone', async () => {
  const publisher = kafkaPublisher({
    producer: await kafka.producer(),
    topic: ({ topic }) => {
      if (topic === 'unknown') throw new Error('no topic for it');
      return topic.replaceAll(':', '.');
    },
  });
  const outcomes = await publisher.publish([event({ topic: 'named:other' }), event({ topic: 'unknown' })]);
  expect(outcomes).toEqual([undefined, new Error('no topic for it')]);
  const [entry] = await kafka.read('named.other');
  expect(entry!.headers['event-topic']).toBe('named:other');
});

test('a topic that cannot be sent fails with all of its events, and no other topic does', async () => {
  const producer = await kafka.producer({ createPartitioner: refusing('refused') });
  const outcomes = await kafkaPublisher({ producer }).publish([
    event({ topic: 'whole' }),
    event({ topic: 'broken', key: 'refused' }),
    event({ topic: 'broken' }),
  ]);
  expect(outcomes).toEqual([undefined, expect.any(Error), expect.any(Error)]);
});

test('an event that cannot be sent ends as a dead letter, and those that came with it do not', async () => {
  const setting = await startOutboxCase();
  const [, poison] = await setting.add(
    { topic: 'mixed' },
    { topic: 'mixed', key: 'poison' },
    { topic: 'mixed' },
    { topic: 'mixed' },
  );
  const producer = await kafka.producer({ createPartitioner: refusing('poison') });
  setting.relay({ publisher: kafkaPublisher({ producer }), maxAttempts: 3 }).start();
  await eventually(async () => (await setting.rows()).every(({ state }) => state === 'dead'), {
    what: 'nothing but dead letters',
  });
  expect(await setting.rows()).toMatchObject([
    { event_id: poison, last_error: expect.stringContaining('poison') as string },
  ]);
  expect(await kafka.read('mixed')).toHaveLength(3);
});

test('no record is larger than a broker takes, however much there is for a topic', async () => {
  const producer = await kafka.producer();
  const sizes: number[] = [];
  const measured = {
    send: (record: Parameters<typeof producer.send>[0]) => {
      sizes.push(record.messages.reduce((sum, { value }) => sum + (value as Buffer).length, 0));
      return producer.send(record);
    },
  };
  const payload = Buffer.alloc(100_000, 'x');
  const events = Array.from({ length: 30 }, () => event({ topic: 'large', payload }));
  expect(await kafkaPublisher({ producer: measured }).publish(events)).toEqual(events.map(() => undefined));
  expect(Math.max(...sizes)).toBeLessThan(1_000_000);
  expect(sizes.length).toBeLessThan(events.length);
  expect(await kafka.read('large')).toHaveLength(30);
});

/** A kafkajs partitioner that throws for a key: a real client's way to refuse a single message. */
function refusing(refused: string): typeof Partitioners.DefaultPartitioner {
  return () => {
    const partitioner = Partitioners.DefaultPartitioner();
    return (given) => {
      if (given.message.key === refused) throw new TypeError(`${refused} is refused`);
      return partitioner(given);
    };
  };
}

let ids = 0;

function event(given: Partial<OutboxEvent>): OutboxEvent {
  return {
    id: `id-${(ids += 1)}`,
    topic: 't',
    key: undefined,
    payload: Buffer.from('x'),
    headers: {},
    createdAt: new Date(),
    attempt: 1,
    ...given,
  };
}
