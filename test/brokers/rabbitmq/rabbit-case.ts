/** A RabbitMQ of the test file's own, with queues, publishers and consumers that end with their test. */

import type { Socket } from 'node:net';
import amqp from 'amqplib';
import type { Channel, ChannelModel, GetMessage } from 'amqplib';
import type { OutboxEvent, PublishOutcome, Publisher } from 'graphql-idempotency';
import { consumeRabbitQueue, rabbitMqPublisher } from 'graphql-idempotency/rabbitmq';
import type {
  RabbitMqPublisher,
  RabbitMqPublisherOptions,
  RabbitQueueConsumerOptions,
} from 'graphql-idempotency/rabbitmq';
import { afterAll, onTestFinished } from 'vitest';
import type { MessageConsumer, MessageHandler } from '../../../src/brokers/received-message.ts';
import { startRabbitMq } from '../../support/rabbitmq-server.ts';
import type { RabbitMqOptions, RabbitMqServer } from '../../support/rabbitmq-server.ts';

export interface RabbitCase {
  readonly server: RabbitMqServer;
  /** The connections that the publishers and consumers of this file have opened, in that order. */
  readonly connections: readonly ChannelModel[];
  connect(): Promise<ChannelModel>;
  /** Works on a connection of its own. */
  admin<T>(work: (channel: Channel) => Promise<T>): Promise<T>;
  /** Declares a durable queue; by default a classic one. */
  queue(declaration?: Record<string, unknown>): Promise<string>;
  publisher(options?: Partial<RabbitMqPublisherOptions>): RabbitMqPublisher;
  consume(options: Partial<RabbitQueueConsumerOptions>, handler: MessageHandler): MessageConsumer;
  /** Freezes the broker, until the test ends at the latest. */
  freeze(): void;
  /** How many messages the queue holds that are not being handled. */
  depth(queue: string): Promise<number>;
  /** Takes all messages of the queue. */
  take(queue: string): Promise<GetMessage[]>;
}

export async function startRabbitCase(options: RabbitMqOptions = {}): Promise<RabbitCase> {
  const server = await startRabbitMq(options);
  afterAll(() => server.remove());
  const connections: ChannelModel[] = [];
  const connect = async (): Promise<ChannelModel> => {
    const connection = await amqp.connect(server.url);
    connections.push(connection);
    return connection;
  };
  async function admin<T>(work: (channel: Channel) => Promise<T>): Promise<T> {
    const connection = await amqp.connect(server.url);
    try {
      const channel = await connection.createChannel();
      const result = await work(channel);
      // The end of the connection could overtake what was sent over the channel.
      await channel.close();
      return result;
    } finally {
      await connection.close();
    }
  }
  return {
    server,
    connections,
    connect,
    admin,
    async queue(declaration = {}) {
      const name = `queue-${(names += 1)}`;
      await admin((channel) => channel.assertQueue(name, { durable: true, arguments: declaration }));
      return name;
    },
    publisher(given = {}) {
      const publisher = rabbitMqPublisher({ connect, exchange: '', ...given });
      onTestFinished(() => publisher.close());
      return publisher;
    },
    consume(given, handler) {
      const consumer = consumeRabbitQueue(
        { connect, queue: '', backoffMs: 1, maxBackoffMs: 1, onError: () => {}, ...given },
        handler,
      );
      onTestFinished(() => consumer.stop());
      return consumer;
    },
    freeze() {
      onTestFinished(() => server.thaw());
      server.freeze();
    },
    depth: (queue) => admin(async (channel) => (await channel.checkQueue(queue)).messageCount),
    take: (queue) =>
      admin(async (channel) => {
        const messages: GetMessage[] = [];
        for (;;) {
          const message = await channel.get(queue, { noAck: true });
          if (message === false) return messages;
          messages.push(message);
        }
      }),
  };
}

let names = 0;

let ids = 0;

/** An event as a relay gives it. */
export function event(topic: string, given: Partial<OutboxEvent> = {}): OutboxEvent {
  return {
    id: `00000000-0000-4000-8000-${String((ids += 1)).padStart(12, '0')}`,
    topic,
    key: undefined,
    payload: Buffer.from('{}'),
    headers: { 'content-type': 'application/json' },
    createdAt: new Date('2026-01-02T03:04:05.678Z'),
    attempt: 1,
    ...given,
  };
}

/** `numbered('q', 3)`: events with the payloads 0, 1 and 2. */
export function numbered(topic: string, count: number, given: Partial<OutboxEvent> = {}): OutboxEvent[] {
  return Array.from({ length: count }, (_, at) => event(topic, { payload: Buffer.from(`${at}`), ...given }));
}

/** Breaks a connection as a network does: without a word to the other side. */
export function cut(connection: ChannelModel | undefined): void {
  const { stream } = connection!.connection as unknown as { readonly stream: Socket };
  stream.destroy(new Error('cut'));
}

/** What became of each: `true`, or what the error says. */
export async function outcomesOf(
  publisher: Publisher,
  events: readonly OutboxEvent[],
): Promise<(string | true)[]> {
  return (await publisher.publish(events)).map(said);
}

export function said(outcome: PublishOutcome): string | true {
  if (outcome === undefined) return true;
  const { cause } = outcome;
  return cause instanceof Error ? `${outcome.message} ${cause.message}` : outcome.message;
}
