/** Reads a message of a queue, as a handler gets it. */

import { EVENT_ID, readEventHeaders } from '../event-headers.ts';
import type { ReceivedMessage } from '../received-message.ts';
import type { IncomingRabbitMessage } from './amqplib.ts';

/** By which a quorum queue says how often a message has come back. */
const DELIVERY_COUNT = 'x-delivery-count';
/** What the broker itself adds to a message that was a dead letter: not the message's own. */
const OF_THE_BROKER = /^x-(?:first|last)-death-/;

/** Its `messageId` is '' where it has none: then it cannot be told from others, and must not be handled. */
export function readRabbitMessage({ content, fields, properties }: IncomingRabbitMessage): ReceivedMessage {
  const given = properties.headers ?? {};
  const texts: Record<string, string> = {};
  if (typeof properties.contentType === 'string') texts['content-type'] = properties.contentType;
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === 'string' && !OF_THE_BROKER.test(name)) texts[name] = value;
  }
  if (isText(properties.messageId)) texts[EVENT_ID] = properties.messageId;
  const { messageId = '', topic = fields.routingKey, key, headers } = readEventHeaders(texts);
  return { messageId, topic, key, payload: content, headers, deliveries: deliveriesOf(given, fields) };
}

/** A classic queue says no more than that it is not the first time. */
function deliveriesOf(
  { [DELIVERY_COUNT]: returns }: Readonly<Record<string, unknown>>,
  { redelivered }: IncomingRabbitMessage['fields'],
): number {
  const counted = Number.isSafeInteger(returns) ? (returns as number) + 1 : 1;
  return Math.max(counted, redelivered ? 2 : 1);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
