/** A Kafka cluster for a test file, and clients of kafkajs that end with the test. */

import { Kafka, logLevel } from 'kafkajs';
import type { Consumer, KafkaConfig, Producer, ProducerConfig } from 'kafkajs';
import { afterAll, onTestFinished } from 'vitest';
import { type KafkaCluster, startKafka } from '../../support/kafka-cluster.ts';

export interface KafkaCase extends KafkaCluster {
  /** A client that finds the cluster, also when it is started again. */
  client(config?: Partial<KafkaConfig>): Kafka;
  /** A connected producer. */
  producer(config?: ProducerConfig, client?: Kafka): Promise<Producer>;
  /** A connected consumer, of a group of its own. */
  consumer(): Promise<Consumer>;
}

let groups = 0;

/** Starts a cluster that ends with the test file. */
export async function startKafkaCase(): Promise<KafkaCase> {
  // kafkajs says with each producer that it has another partitioner than years ago.
  process.env['KAFKAJS_NO_PARTITIONER_WARNING'] = '1';
  const cluster = await startKafka();
  afterAll(() => cluster.kill());
  const client = (config: Partial<KafkaConfig> = {}): Kafka =>
    new Kafka({
      brokers: () => [cluster.broker()],
      connectionTimeout: 10_000,
      logLevel: logLevel.NOTHING,
      ...config,
    });
  return {
    ...cluster,
    client,
    async producer(config = {}, kafka = client()) {
      const producer = kafka.producer(config);
      await producer.connect();
      onTestFinished(() => producer.disconnect());
      return producer;
    },
    async consumer() {
      const consumer = client({ retry: { initialRetryTime: 50 } }).consumer({ groupId: `g${(groups += 1)}` });
      await consumer.connect();
      onTestFinished(() => consumer.disconnect());
      return consumer;
    },
  };
}
