/**
 * How an event's own particulars travel: as headers, the same with every broker, so that a consumer finds them
 * whichever one brought it.
 */

import type { OutboxEvent } from '../outbox/publisher.ts';

export const EVENT_ID = 'event-id';
const EVENT_TOPIC = 'event-topic';
/** Percent-encoded: a key is any text, and a header is not. */
const EVENT_KEY = 'event-key';
/** When the event was added: ISO 8601. */
const EVENT_TIME = 'event-time';

/** The event's headers with its particulars. */
export function eventHeaders({ id, topic, key, headers, createdAt }: OutboxEvent): Record<string, string> {
  const all = { ...headers, [EVENT_ID]: id, [EVENT_TOPIC]: topic, [EVENT_TIME]: createdAt.toISOString() };
  return key === undefined ? all : { ...all, [EVENT_KEY]: encodeURIComponent(key) };
}

/** What headers say of an event. */
export interface EventParticulars {
  readonly messageId: string | undefined;
  readonly topic: string | undefined;
  readonly key: string | undefined;
  /** The rest. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Reads what `eventHeaders` wrote. What others wrote may have none of it. */
export function readEventHeaders(all: Readonly<Record<string, string>>): EventParticulars {
  const { [EVENT_ID]: messageId, [EVENT_TOPIC]: topic, [EVENT_KEY]: key, ...headers } = all;
  // No plain data has it: the inbox could not keep the message, and would refuse it each time.
  Reflect.deleteProperty(headers, '__proto__');
  // Empty ones are none: no message could be told from another by them.
  return {
    messageId: messageId || undefined,
    topic: topic || undefined,
    key: key ? decoded(key) : undefined,
    headers,
  };
}

/** As it is, where it is not percent-encoded: then it is not ours. */
function decoded(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}
