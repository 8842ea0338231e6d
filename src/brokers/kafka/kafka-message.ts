/** A message from Kafka, in the form that `inbox.process` takes, and how a consumer hands it on. */

import { errorText } from '../../errors/error-text.ts';
import { readEventHeaders } from '../event-headers.ts';
import type { MessageHandler, ReceivedMessage } from '../received-message.ts';

/** `null` where there is none, which the types of kafkajs do not say. */
type HeaderValue = Buffer | string | readonly (Buffer | string | null)[] | null | undefined;

/** A message, as both clients give it to `eachMessage`. */
export interface IncomingKafkaMessage {
  readonly key?: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly offset: string;
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
}

/** What `eachMessage` gets. */
export interface KafkaPayload {
  readonly topic: string;
  readonly partition: number;
  readonly message: IncomingKafkaMessage;
}

/**
 * Makes the function that a consumer of either client takes as `eachMessage`. The client moves on when it resolves, so
 * when `handle` does: with `inbox.process`, after the commit. When it rejects, the message comes again; those behind it
 * in its partition wait.
 *
 * @example
 * ```ts
 * await consumer.run({
 *   eachMessage: eachKafkaMessage((message) =>
 *     idempotency.inbox.process({ consumer: 'ledger', ...message }, (tx) =>
 *       tx.query('insert into ledger (entry) values ($1)', [message.payload]),
 *     ),
 *   ),
 * });
 * ```
 * @throws TypeError where it is given no function.
 */
export function eachKafkaMessage(handle: MessageHandler): (payload: KafkaPayload) => Promise<void> {
  if (typeof handle !== 'function') {
    throw new TypeError('eachKafkaMessage() expects a function that handles a message.');
  }
  return async (payload) => {
    try {
      await handle(readKafkaMessage(payload));
    } catch (cause) {
      // kafkajs ends a consumer for good when it meets a TypeError, and some others, and says so only in its log.
      throw new Error(`The message comes again: ${errorText(cause)}`, { cause });
    }
  };
}

/**
 * Reads what `eachMessage` gets, as `inbox.process` takes it. Topic and key are the event's. A message that no relay
 * has published goes by its place, `topic:partition:offset`, which is its own until the topic is made anew; its topic
 * and key are Kafka's. Kafka does not count deliveries: `deliveries` is 1.
 */
export function readKafkaMessage({ topic, partition, message }: KafkaPayload): ReceivedMessage {
  const event = readEventHeaders(readHeaders(message.headers ?? {}));
  const { key, value } = message;
  return {
    messageId: event.messageId ?? `${topic}:${partition}:${message.offset}`,
    topic: event.topic ?? topic,
    key: event.key ?? key?.toString() ?? undefined,
    payload: typeof value === 'string' ? Buffer.from(value) : (value ?? Buffer.alloc(0)),
    headers: event.headers,
    deliveries: 1,
  };
}

function readHeaders(headers: Readonly<Record<string, HeaderValue>>): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const values = (Array.isArray(value) ? value : [value]).filter(
      (one) => one !== null && one !== undefined,
    );
    // What cannot be read would hold up its partition for good.
    if (values.length > 0) texts[name] = values.map(String).join(', ');
  }
  return texts;
}
