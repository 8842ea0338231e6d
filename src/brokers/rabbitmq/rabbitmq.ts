/** RabbitMQ as the broker: publishes events of the outbox to an exchange, and consumes a queue. */

export type {
  IncomingRabbitMessage,
  OutgoingRabbitProperties,
  RabbitMqChannel,
  RabbitMqConfirmChannel,
  RabbitMqConnection,
} from './amqplib.ts';
export { consumeRabbitQueue } from './consumer.ts';
export type { RabbitQueueConsumerOptions } from './consumer.ts';
export { rabbitMqPublisher } from './publisher.ts';
export type { RabbitMqPublisher, RabbitMqPublisherOptions } from './publisher.ts';
