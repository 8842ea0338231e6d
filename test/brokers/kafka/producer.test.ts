/** What is taken for a producer: by its type, and again when the publisher is made. */

import { kafkaPublisher } from 'graphql-idempotency/kafka';
import type { KafkaPublisherOptions } from 'graphql-idempotency/kafka';
import { Kafka, logLevel } from 'kafkajs';
import { expect, test } from 'vitest';

process.env['KAFKAJS_NO_PARTITIONER_WARNING'] = '1';
const client = new Kafka({ brokers: ['127.0.0.1:1'], logLevel: logLevel.NOTHING });

test('a producer of kafkajs fits; its consumer does not', () => {
  const options: KafkaPublisherOptions = { producer: client.producer() };
  expect(kafkaPublisher(options)).toHaveProperty('publish');
  // @ts-expect-error -- a consumer sends nothing
  expect(() => kafkaPublisher({ producer: client.consumer({ groupId: 'g' }) })).toThrow(TypeError);
});

test('a function that sends other records does not fit', () => {
  const other = { send: async (record: { topic: string; body: string }) => record.body };
  // @ts-expect-error -- it wants a body
  const options: KafkaPublisherOptions = { producer: other };
  expect(options.producer).toBe(other);
});

test('an idempotent producer of kafkajs is refused: it may give the number of a message to another one', () => {
  const producer = client.producer({ idempotent: true });
  expect(() => kafkaPublisher({ producer })).toThrow('without `idempotent`');
});

test('an option that is wrong or unknown is named', () => {
  const producer = client.producer();
  const wrong = (options: object): unknown => kafkaPublisher(options as KafkaPublisherOptions);
  expect(() => wrong({})).toThrow('`producer`');
  expect(() => wrong({ producer, topic: 'name' })).toThrow('`topic`');
  expect(() => wrong({ producer, topics: [] })).toThrow('Did you mean `topic`?');
});
