/** A consumer that loses messages is refused before it gets any. */

import { AckPolicy } from '@nats-io/jetstream';
import type { Consumer, ConsumerConfig, ConsumerInfo, PriorityPolicy } from '@nats-io/jetstream';
import { consumeJetStream } from 'graphql-idempotency/nats';
import type { JetStreamConsumerOptions, MessageConsumer } from 'graphql-idempotency/nats';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { readConsumerTerms } from '../../../src/brokers/nats/consumer-terms.ts';
import { deferred } from '../../support/signal.ts';
import { nanos, type NatsCase, startNatsCase } from './nats-case.ts';

let nats: NatsCase;
beforeAll(async () => {
  nats = await startNatsCase();
});

const start = (options: object, handler: unknown = () => {}): Promise<MessageConsumer> =>
  consumeJetStream(options as JetStreamConsumerOptions, handler as () => void);

test.each([
  ['with max_deliver', { max_deliver: 5 }, /max_deliver 5: the server drops a message/],
  ['that acknowledges by itself', { ack_policy: AckPolicy.None }, /ack_policy "none".*"explicit"/],
  ['that acknowledges all before', { ack_policy: AckPolicy.All }, /ack_policy "all"/],
  ['that pushes', { deliver_subject: 'to' }, /not a pull consumer/],
  ['without payloads', { headers_only: true }, /headers_only/],
  ['that must be asked more often', { max_expires: nanos(500) }, /max_expires below a second/],
] as const)('a consumer %s is refused', async (_, config, message) => {
  const stream = await nats.stream();
  await nats.worker(stream, config);
  await nats.send(stream, 'm');
  await expect(start({ js: nats.js, stream, durable: 'worker' })).rejects.toThrow(message);
  expect(await nats.jsm.consumers.info(stream, 'worker')).toMatchObject({ delivered: { stream_seq: 0 } });
});

test('an ordered consumer, and one that pushes, is refused where it is given itself', async () => {
  const stream = await nats.stream();
  await expect(start({ consumer: await nats.js.consumers.get(stream) })).rejects.toThrow(/ack_policy "none"/);
  await nats.worker(stream, { deliver_subject: 'to' });
  const pushing = await nats.js.consumers.getPushConsumer(stream, 'worker');
  await expect(start({ consumer: pushing })).rejects.toThrow(/`consumer`.*expects a pull consumer/);
  const info = { name: 'w', stream_name: 's', config: { deliver_subject: 'to' } };
  expect(() => readConsumerTerms(info as ConsumerInfo, 1000)).toThrow(/pushes/);
});

test('a consumer that the server forgets is refused', async () => {
  const stream = await nats.stream();
  await nats.jsm.consumers.add(stream, { name: 'passing', ack_policy: AckPolicy.Explicit });
  await expect(start({ js: nats.js, stream, durable: 'passing' })).rejects.toThrow(/not durable/);
});

test('a consumer with priority groups is refused: it gives nothing to those who name none', () => {
  // By its description, for only servers from 2.11 on have them.
  const config = { ack_policy: AckPolicy.Explicit, durable_name: 'w', priority_groups: ['a'] };
  const read = (priority_policy: PriorityPolicy): unknown =>
    readConsumerTerms(
      { name: 'w', stream_name: 's', config: { ...config, priority_policy } } as ConsumerInfo,
      1000,
    );
  expect(() => read('overflow')).toThrow(/priority_policy "overflow"/);
  expect(() => read('pinned_client')).toThrow(/priority_policy "pinned_client"/);
  expect(() => read('none')).not.toThrow();
});

test('a consumer or a stream that is not there is named', async () => {
  const stream = await nats.stream();
  await expect(start({ js: nats.js, stream, durable: 'nobody' })).rejects.toThrow(
    `cannot use the consumer "nobody" of the stream "${stream}": consumer not found.`,
  );
  await expect(start({ js: nats.js, stream: 'none', durable: 'worker' })).rejects.toThrow('stream not found');
});

test('a consumer may be given itself', async () => {
  const stream = await nats.stream();
  await nats.worker(stream, { max_batch: 2 });
  await nats.send(stream, 'm');
  const consumer: Consumer = await nats.js.consumers.get(stream, 'worker');
  const got = deferred();
  const consuming = await start({ consumer, onError: got.reject }, () => got.resolve());
  onTestFinished(() => consuming.stop());
  await got.promise;
});

test('wrong options are refused', async () => {
  const { js } = nats;
  const found = { js, stream: 's', durable: 'd' };
  await expect(start({ ...found, js: {} })).rejects.toThrow(/`js`.*expects a JetStream client/);
  await expect(start({ ...found, stream: 1 })).rejects.toThrow(/`stream`.*expects the name/);
  await expect(start({ js, stream: 's' })).rejects.toThrow(/`durable`.*expects the name/);
  await expect(start({ consumer: {} })).rejects.toThrow(/`consumer`.*expects a pull consumer/);
  await expect(start({ ...found, concurrency: 0 })).rejects.toThrow(/`concurrency`/);
  await expect(start({ ...found, durabel: 'd' })).rejects.toThrow('Did you mean `durable`?');
  await expect(start(found, 'handler')).rejects.toThrow(/expects a function that handles/);
});

test('how long a message may be worked on without a word is the shortest that the server waits', () => {
  const ackWaitMs = (config: Partial<ConsumerConfig>): number =>
    readConsumerTerms(
      {
        name: 'w',
        stream_name: 's',
        config: { ack_policy: AckPolicy.Explicit, durable_name: 'w', ...config },
      } as ConsumerInfo,
      1000,
    ).ackWaitMs;
  expect(ackWaitMs({})).toBe(30_000);
  expect(ackWaitMs({ ack_wait: nanos(2000) })).toBe(2000);
  expect(ackWaitMs({ ack_wait: nanos(2000), backoff: [nanos(500), nanos(9000)] })).toBe(500);
});
