/** What a consumer of kafkajs gets is what `inbox.process` takes, and comes again until that has committed. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { eachKafkaMessage, kafkaPublisher, readKafkaMessage } from 'graphql-idempotency/kafka';
import type { KafkaPayload, ReceivedMessage } from 'graphql-idempotency/kafka';
import { expect, test } from 'vitest';
import { ensureKcat } from '../../../scripts/install-program.mjs';
import { startOutboxCase } from '../../outbox/outbox-case.ts';
import { deferred, eventually, within } from '../../support/signal.ts';
import { startKafkaCase } from './kafka-case.ts';

const kafka = await startKafkaCase();

test('an event that is published twice, and whose handler fails at first, has one effect', async () => {
  const setting = await startOutboxCase();
  const topic = 'payment.captured';
  const ids = await setting.add(
    { topic, key: 'a b', payload: 'first' },
    { topic, key: 'a b', payload: 'second' },
    { topic, payload: 'third' },
  );
  const publisher = kafkaPublisher({ producer: await kafka.producer() });
  const doubling = {
    publish: async (events: Parameters<typeof publisher.publish>[0]) => {
      await publisher.publish(events);
      return publisher.publish(events);
    },
  };
  setting.relay({ publisher: doubling }).start();
  await eventually(async () => (await setting.rows()).length === 0, { what: 'the outbox is empty' });

  const consumer = await kafka.consumer();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const executed: string[] = [];
  const places = new Set<string>();
  let failures = 0;
  const done = deferred();
  const handle = eachKafkaMessage(async (message) => {
    const { outcome } = await setting.idempotency.inbox.process(
      { consumer: 'ledger', ...message },
      async (tx) => {
        const payload = JSON.parse(message.payload.toString()) as string;
        await setting.write(tx, `${payload} of ${message.topic} by ${message.key}: ${message.messageId}`);
        // Of a kind after which kafkajs would end its consumer.
        if (payload === 'first' && (failures += 1) < 2) throw new TypeError('not yet');
      },
    );
    if (outcome === 'executed') executed.push(message.messageId);
  });
  await consumer.run({
    eachMessage: async (payload) => {
      await handle(payload);
      places.add(`${payload.partition}:${payload.message.offset}`);
      if (places.size === 6) done.resolve();
    },
  });
  await within(done.promise, { timeoutMs: 25_000, what: 'six messages' });
  expect(failures).toBe(2);
  expect(executed.toSorted()).toEqual(ids.toSorted());
  const all = await setting.effects();
  expect(all.toSorted()).toEqual([
    `first of ${topic} by a b: ${ids[0]}`,
    `second of ${topic} by a b: ${ids[1]}`,
    `third of ${topic} by undefined: ${ids[2]}`,
  ]);
  expect(all.findIndex((one) => one.startsWith('first'))).toBeLessThan(
    all.findIndex((one) => one.startsWith('second')),
  );
});

test('a message that no relay has published goes by its place, and has the topic and key of Kafka', async () => {
  const producer = await kafka.producer();
  const headers = { text: 'träce', bytes: Buffer.from('é'), list: ['a', Buffer.from('b')] };
  await producer.send({
    topic: 'foreign',
    messages: [
      { partition: 2, key: 'k', value: 'value', headers },
      { partition: 2, value: null },
    ],
  });
  const consumer = await kafka.consumer();
  await consumer.subscribe({ topics: ['foreign'], fromBeginning: true });
  const payloads: KafkaPayload[] = [];
  const done = deferred();
  await consumer.run({
    eachMessage: async (payload) => {
      payloads.push(payload);
      if (payloads.length === 2) done.resolve();
    },
  });
  await within(done.promise, { timeoutMs: 25_000, what: 'two messages' });
  expect(payloads.map(readKafkaMessage)).toEqual([
    {
      messageId: 'foreign:2:0',
      topic: 'foreign',
      key: 'k',
      payload: Buffer.from('value'),
      headers: { text: 'träce', bytes: 'é', list: 'a, b' },
      deliveries: 1,
    },
    {
      messageId: 'foreign:2:1',
      topic: 'foreign',
      key: undefined,
      payload: Buffer.alloc(0),
      headers: {},
      deliveries: 1,
    },
  ]);
});

test('a header without a value holds up no message', async () => {
  const to = ['-P', '-b', kafka.broker(), '-t', 'bare', '-p', '0'];
  const headers = ['-H', 'bare', '-H', 'said=yes', '-H', 'some=one', '-H', 'some', '-H', 'some=two'];
  const sending = promisify(execFile)(await ensureKcat(), [...to, ...headers], { timeout: 20_000 });
  sending.child.stdin!.end('value');
  await sending;
  const consumer = await kafka.consumer();
  await consumer.subscribe({ topics: ['bare'], fromBeginning: true });
  const received = deferred<ReceivedMessage>();
  await consumer.run({ eachMessage: eachKafkaMessage((message) => received.resolve(message)) });
  const message = await within(received.promise, { timeoutMs: 25_000, what: 'the message' });
  expect(message).toMatchObject({ messageId: 'bare:0:0', payload: Buffer.from('value') });
  expect(message.headers).toEqual({ said: 'yes', some: 'one, two' });
});

test('whatever a handler rejects with, it is no error after which kafkajs ends its consumer', async () => {
  const message = { topic: 't', partition: 0, message: { value: null, offset: '0' } };
  for (const reason of [new TypeError('wrong'), 'text', undefined, Object.create(null)]) {
    const handle = eachKafkaMessage(() => Promise.reject(reason));
    await expect(handle(message)).rejects.toMatchObject({ name: 'Error', cause: reason });
  }
});

test('what is no function is refused before there is a message', () => {
  // @ts-expect-error -- those are what inbox.process takes
  expect(() => eachKafkaMessage({ consumer: 'ledger' })).toThrow(
    new TypeError('eachKafkaMessage() expects a function that handles a message.'),
  );
});
