/** Headers as NATS carries them: what goes out cannot steer the server, and what comes in is in one form. */

import type { MsgHdrs } from '@nats-io/nats-core';
import { headers as emptyHeaders } from '@nats-io/nats-core';

/** By which the server drops a message that it already has. */
const MESSAGE_ID = 'Nats-Msg-Id';

/**
 * By which servers and clients are told what to do with a message, such as to expect a sequence. Servers compare them
 * to the letter, and others on the way may write them differently.
 */
const STEERING = /^nats-/i;

/**
 * Returns the headers with the message id, without those whose names begin with `nats-`.
 *
 * The id comes first, and so not by way of the client's option `msgID`, which puts it last: to find it, the server
 * takes the first place where its name is written, and gives up where that is inside of another header's text. Then it
 * would store the message again each time.
 */
export function headersToSend(messageId: string, named: Readonly<Record<string, string>>): MsgHdrs {
  const headers = emptyHeaders();
  headers.append(MESSAGE_ID, messageId);
  for (const [name, value] of Object.entries(named)) {
    if (!STEERING.test(name)) headers.append(name, value);
  }
  return headers;
}

/** What headers say. */
export interface ReceivedHeaders {
  /** The message id of the broker; `undefined` where its publisher gave none. */
  readonly messageId: string | undefined;
  /** By lower-case names; several of one name are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
}

export function receivedHeaders(received: MsgHdrs | undefined): ReceivedHeaders {
  if (received === undefined) return { messageId: undefined, headers: {} };
  const all = new Map<string, string[]>();
  for (const [name, values] of received) {
    const lower = name.toLowerCase();
    all.set(lower, [...(all.get(lower) ?? []), ...values]);
  }
  const messageId = all.get(MESSAGE_ID.toLowerCase())?.[0];
  all.delete(MESSAGE_ID.toLowerCase());
  const headers = Object.fromEntries([...all].map(([name, values]) => [name, values.join(', ')]));
  return { messageId: messageId === '' ? undefined : messageId, headers };
}
