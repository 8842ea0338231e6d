/** A message of JetStream, as a handler gets it. */

import type { JsMsg } from '@nats-io/jetstream';
import type { MsgHdrs } from '@nats-io/nats-core';
import { readEventHeaders } from '../event-headers.ts';
import type { ReceivedMessage } from '../received-message.ts';
import { receivedHeaders } from './message-headers.ts';

/**
 * Returns the message with what its headers say. Where it is none of ours, its id is what its publisher gave as message
 * id, else its place in the stream, which is as good: it keeps it for good.
 */
export function receivedFrom(message: JsMsg): ReceivedMessage {
  const { data, info, subject } = message;
  const received = receivedHeaders(readable(message));
  const { messageId, topic, key, headers } = readEventHeaders(received.headers);
  return {
    messageId: messageId ?? received.messageId ?? `${info.stream}:${info.streamSequence}`,
    topic: topic ?? subject,
    key,
    // A copy: the client's may be a window on what else has come in.
    payload: Buffer.from(data),
    headers,
    // A hint: where a request was withdrawn in between, servers have been seen to count 1 again.
    deliveries: info.deliveryCount,
  };
}

/**
 * The client reads headers when they are asked for, and throws where one has a name that it would not write itself.
 * Servers and other clients take any: such a message would end each request for messages, and never be handled.
 */
function readable(message: JsMsg): MsgHdrs | undefined {
  try {
    return message.headers;
  } catch {
    return undefined;
  }
}
