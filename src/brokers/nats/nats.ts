/** The entry `graphql-idempotency/nats`: events to NATS JetStream, and messages from it. */

export { consumeJetStream } from './jetstream-consumer.ts';
export type { ConsumerSource, JetStreamConsumerOptions } from './jetstream-consumer.ts';
export { jetStreamPublisher } from './jetstream-publisher.ts';
export type { JetStreamPublisherOptions } from './jetstream-publisher.ts';
export type {
  ConsumerOptions,
  MessageConsumer,
  MessageHandler,
  ReceivedMessage,
} from '../received-message.ts';
export type { OutboxEvent, Publisher, PublishOutcome } from '../../outbox/publisher.ts';
