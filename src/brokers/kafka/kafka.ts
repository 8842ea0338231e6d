/** Kafka as the broker: publishes events of the outbox, and reads what a consumer gets. */

export { kafkaPublisher } from './kafka-publisher.ts';
export type { KafkaPublisherOptions } from './kafka-publisher.ts';
export type { KafkaProducer, KafkaRecord, OutgoingKafkaMessage } from './kafka-producer.ts';
export { eachKafkaMessage, readKafkaMessage } from './kafka-message.ts';
export type { IncomingKafkaMessage, KafkaPayload } from './kafka-message.ts';
export type { MessageHandler, ReceivedMessage } from '../received-message.ts';
