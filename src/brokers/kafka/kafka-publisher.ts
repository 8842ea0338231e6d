/** Publishes events to Kafka: those of a topic together, topics side by side. */

import type { OutboxEvent, PublishOutcome, Publisher } from '../../outbox/publisher.ts';
import { refuseUnknownOptions, wrongOption } from '../consumer-settings.ts';
import { eventHeaders } from '../event-headers.ts';
import type { KafkaProducer, KafkaRecord } from './kafka-producer.ts';

export interface KafkaPublisherOptions {
  /** A connected producer: of `kafkajs`, without `idempotent`, or of `KafkaJS` of `@confluentinc/kafka-javascript`. */
  readonly producer: KafkaProducer;
  /**
   * Names an event's Kafka topic: 1 to 249 letters, digits and the characters `.`, `_` and `-`.
   *
   * @defaultValue the event's own topic
   */
  readonly topic?: ((event: OutboxEvent) => string) | undefined;
}

/** Messages that are sent together, and the places of their events. */
interface Batch {
  readonly record: KafkaRecord;
  readonly places: number[];
  bytes: number;
}

const TOPIC = /^[\w.-]{1,249}$/;
/**
 * kafkajs makes one batch of all messages that a record has for a partition, and brokers refuse one of more than a
 * mebibyte (`message.max.bytes`). This leaves room for a last event that is large itself.
 */
const MAX_BATCH_BYTES = 256 * 1024;

/**
 * Makes a publisher for a relay out of a Kafka producer. The message's key is the event's, so that events of one key
 * get to one partition in their order; those without get to any. Its value is the payload as it is, and its headers are
 * the event's with `event-id`, `event-topic`, `event-key` and `event-time`.
 *
 * An event is published when the producer says so. How many brokers have it then is the producer's `acks` (both
 * clients: all that are in sync) and the topic's `min.insync.replicas`. Events may be published twice: consumers tell
 * by `event-id`. The producer is its owner's, who connects and disconnects it, the latter after the relay has stopped.
 * It should give up before the relay's `publishTimeoutMs`, which neither client does by default: what the relay takes
 * for failed may otherwise go out later, behind newer events of its key.
 *
 * @example
 * ```ts
 * const client = new Kafka({ brokers: ['localhost:9092'], requestTimeout: 5000, retry: { retries: 2 } });
 * const producer = client.producer();
 * await producer.connect();
 * const relay = idempotency.relay({ publisher: kafkaPublisher({ producer }) });
 * relay.start();
 * ```
 *
 * @throws TypeError where an option is wrong or unknown, or where the producer is an idempotent one of kafkajs.
 */
export function kafkaPublisher(options: KafkaPublisherOptions): Publisher {
  refuseUnknownOptions(options, { name: 'kafkaPublisher', own: ['producer', 'topic'] });
  const { producer, topic = ownTopic } = options;
  if (typeof producer?.send !== 'function') {
    throw wrongOption('kafkaPublisher', 'producer', 'expects a producer with a method `send`');
  }
  if (typeof topic !== 'function') throw wrongOption('kafkaPublisher', 'topic', 'expects a function');
  refuseReusedSequences(producer);
  return {
    async publish(events) {
      const outcomes: PublishOutcome[] = events.map(() => new Error('not sent'));
      const { batches, refused } = batchesOf(events, topic);
      for (const [place, error] of refused) outcomes[place] = error;
      await Promise.all(
        batches.map(async ({ record, places }) => {
          const outcome = await send(producer, record);
          for (const place of places) outcomes[place] = outcome;
        }),
      );
      return outcomes;
    },
  };
}

/**
 * kafkajs numbers its messages when it sends them, and gives a number to the next message where a send has failed. Of
 * messages A and B, the brokers take A as number 0, but their answer is lost; B goes out as number 0. To the brokers
 * that is A again: they say that they have it, B is removed from the outbox, and nobody ever gets it.
 */
function refuseReusedSequences(producer: KafkaProducer): void {
  if (producer.isIdempotent?.() !== true) return;
  throw wrongOption(
    'kafkaPublisher',
    'producer',
    'expects one without `idempotent`: with it, kafkajs may lose messages after a failure. Duplicates have one `event-id`',
  );
}

function batchesOf(
  events: readonly OutboxEvent[],
  topicOf: (event: OutboxEvent) => string,
): { readonly batches: readonly Batch[]; readonly refused: ReadonlyMap<number, Error> } {
  const batches: Batch[] = [];
  const open = new Map<string, Batch>();
  const refused = new Map<number, Error>();
  for (const [place, event] of events.entries()) {
    const topic = readTopic(event, topicOf);
    if (topic instanceof Error) {
      refused.set(place, topic);
      continue;
    }
    // One that brokers refuse would otherwise take others with it every time, until all of them are dead letters.
    const isAlone = event.attempt > 1;
    const last = isAlone ? undefined : open.get(topic);
    const batch = last ?? { record: { topic, messages: [] }, places: [], bytes: 0 };
    if (last === undefined) batches.push(batch);
    const headers = eventHeaders(event);
    batch.record.messages.push({ key: event.key ?? null, value: event.payload, headers });
    batch.places.push(place);
    batch.bytes += event.payload.length + Buffer.byteLength(JSON.stringify(headers));
    if (isAlone) continue;
    if (batch.bytes < MAX_BATCH_BYTES) open.set(topic, batch);
    else open.delete(topic);
  }
  return { batches, refused };
}

function ownTopic({ topic }: OutboxEvent): string {
  return topic;
}

function readTopic(event: OutboxEvent, topicOf: (event: OutboxEvent) => string): string | Error {
  try {
    const topic: unknown = topicOf(event);
    if (typeof topic === 'string' && TOPIC.test(topic) && topic !== '.' && topic !== '..') return topic;
    return new Error(
      `${JSON.stringify(topic)} is no Kafka topic, which has letters, digits and the characters . _ -; ` +
        'the option `topic` of kafkaPublisher() can name another',
    );
  } catch (error) {
    return asError(error);
  }
}

async function send(producer: KafkaProducer, record: KafkaRecord): Promise<PublishOutcome> {
  try {
    await producer.send(record);
    return undefined;
  } catch (error) {
    return asError(error);
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('not published', { cause: thrown });
}
