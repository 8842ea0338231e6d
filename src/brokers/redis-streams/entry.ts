/** How an event lies in a stream: one field for its bytes, and one for each header, which every client can read. */

import type { OutboxEvent } from '../../outbox/publisher.ts';
import { eventHeaders, readEventHeaders } from '../event-headers.ts';
import type { ReceivedMessage } from '../received-message.ts';

/** No header has this name: those that begin with `event-` are ours. */
const PAYLOAD = 'event-payload';

/** An entry as Redis gives it. */
export interface StreamEntry {
  readonly stream: string;
  readonly id: string;
  /** Names and values by turns. */
  readonly fields: readonly Buffer[];
  readonly deliveries: number;
}

/** Names and values by turns, as XADD takes them. */
export function fieldsOf(event: OutboxEvent): (string | Buffer)[] {
  return [...Object.entries(eventHeaders(event)).flat(), PAYLOAD, event.payload];
}

/**
 * Reads any entry, those of others included. Without an id of an event, it goes by its stream and its own id: alone,
 * that one is not unique, for two streams may get entries in the same millisecond. Without a payload of ours, all its
 * fields are the payload, as JSON.
 */
export function messageOf({ stream, id, fields, deliveries }: StreamEntry): ReceivedMessage {
  const texts: [name: string, value: string][] = [];
  let payload: Buffer | undefined;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at]!.toString();
    if (name === PAYLOAD) payload = fields[at + 1]!;
    else texts.push([name, fields[at + 1]!.toString()]);
  }
  const all = Object.fromEntries(texts);
  const { messageId: eventId = '', topic = stream, key, headers } = readEventHeaders(all);
  const messageId = eventId === '' ? `${stream}/${id}` : eventId;
  if (payload !== undefined) return { messageId, topic, key, payload, headers, deliveries };
  const json = Buffer.from(JSON.stringify(all));
  return {
    messageId,
    topic,
    key,
    payload: json,
    headers: { 'content-type': 'application/json' },
    deliveries,
  };
}
