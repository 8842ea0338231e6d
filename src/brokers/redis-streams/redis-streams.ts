/** Redis Streams as the broker: publishes events of the outbox to streams, and consumes streams by groups. */

export { consumeRedisStream } from './consumer.ts';
export type { RedisStreamConsumerOptions } from './consumer-options.ts';
export { redisStreamsPublisher } from './publisher.ts';
export type { RedisStreamsPublisherOptions } from './publisher.ts';
export type {
  ConsumerOptions,
  MessageConsumer,
  MessageHandler,
  ReceivedMessage,
} from '../received-message.ts';
