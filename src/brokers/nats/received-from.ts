/** A message of JetStream, as a handler gets it. */

import type { JsMsg } from '@nats-io/jetstream';
import { readEventHeaders } from '../event-headers.ts';
import type { ReceivedMessage } from '../received-message.ts';
import { receivedHeaders } from './message-headers.ts';

/**
 * Returns the message with what its headers say. Where it is none of ours, its id is what its publisher gave as message
 * id, else its place in the stream, which is as good: it keeps it for good.
 */
export function receivedFrom({ data, headers: all, info, subject }: JsMsg): ReceivedMessage {
  const received = receivedHeaders(all);
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
