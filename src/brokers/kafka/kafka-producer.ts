/**
 * What a producer has to be able to do, whoever made it: that of `kafkajs` does, and that of the `KafkaJS` part of
 * `@confluentinc/kafka-javascript`.
 */

/** A message, as a producer takes it. Each is new: Confluent's client writes into those that it gets. */
export interface OutgoingKafkaMessage {
  /** Decides the partition; `null`: any. */
  key: string | null;
  value: Buffer;
  headers: Record<string, string>;
}

/** Messages of one topic. Without `acks`, which Confluent's client refuses here: it is the producer's to set. */
export interface KafkaRecord {
  topic: string;
  messages: OutgoingKafkaMessage[];
}

/** A producer, as far as it is used. Connecting and disconnecting it is its owner's. */
export interface KafkaProducer {
  /** Resolves when the brokers have all messages, and rejects when they may not have one. */
  readonly send: (record: KafkaRecord) => Promise<unknown>;
  /** As kafkajs says it of its own; Confluent's client has none. */
  readonly isIdempotent?: () => boolean;
}
