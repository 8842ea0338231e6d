/** What a consumer says of a message, and how that is read. */

import { isCallName } from '../config/call-name.ts';
import { nearestName } from '../config/nearest-name.ts';
import type { CallRule } from '../guard/call.ts';
import type { CurrentAttempt } from '../guard/current.ts';
import { readCall } from '../guard/direct/read-call.ts';
import type { ReadOptions } from '../guard/direct/read-call.ts';
import { UnserializableError, encode } from '../record/codec.ts';
import type { Transaction } from '../store/port.ts';

/** A message, and how its consumer handles it. Read at once: what changes later changes nothing. */
export interface InboxMessage {
  /** Who handles it: 1 to 200 characters, the same in every process that does. Each consumer handles a message once. */
  readonly consumer: string;
  /** What makes its deliveries the same: the event's id. Not empty. */
  readonly messageId: string;
  /**
   * What it says: a `Buffer`, or plain data within `maxPayloadDepth` and `maxPayloadNodes`. The same id with another
   * payload is a dead letter at once, and so is plain data that cannot be compared.
   */
  readonly payload: unknown;
  /** Where it came from. Kept with a dead letter. */
  readonly topic?: string | undefined;
  /** The key of its order. Kept with a dead letter. */
  readonly key?: string | undefined;
  /** Kept with a dead letter. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * How often it was delivered, this time included, as far as the broker says. From the second time on each try is
   * noted before it begins, so that a message that takes its consumer with it is found.
   *
   * @defaultValue 1
   */
  readonly deliveries?: number | undefined;
  /** Where its effect happens: in the transaction, or outside Postgres. @defaultValue `TRANSACTION` */
  readonly mode?: 'TRANSACTION' | 'LEASE' | undefined;
  /** LEASE: what a delivery may do after an attempt was abandoned. @defaultValue `REFUSE` */
  readonly abandoned?: 'REFUSE' | 'RERUN' | undefined;
  /**
   * How long it is remembered as handled: longer than any broker or operator may deliver it again. ISO 8601 text or
   * milliseconds. @defaultValue the setting `inboxTtl`
   */
  readonly ttl?: number | string | undefined;
  /** After how many failures it is a dead letter. @defaultValue 20 */
  readonly maxAttempts?: number | undefined;
  /** After how many consumers that died with it it is a dead letter. @defaultValue 3 */
  readonly crashLimit?: number | undefined;
}

/** Handles a message in the transaction that says that it was handled. What it returns is not kept. */
export type TransactionHandler<TClient = unknown> = (
  tx: Transaction,
  attempt: CurrentAttempt<TClient>,
) => unknown;

/** Handles a message by steps. What it returns is not kept. */
export type LeaseHandler<TClient = unknown> = (attempt: CurrentAttempt<TClient>) => unknown;

export interface ReadMessage {
  readonly consumer: string;
  readonly messageId: string;
  readonly payload: unknown;
  /** All of it that its handler needs, encoded. */
  readonly body: Buffer;
  readonly deliveries: number;
  readonly maxAttempts: number;
  readonly crashLimit: number;
  /** What errors, logs and the option `recover` call it. */
  readonly name: string;
  readonly rule: CallRule;
  readonly ttlMs: number;
}

/** The names of all that a message may say of itself: an object, so that none can be forgotten. */
export const inboxMessageNames: Readonly<Record<keyof InboxMessage, true>> = {
  consumer: true,
  messageId: true,
  payload: true,
  topic: true,
  key: true,
  headers: true,
  deliveries: true,
  mode: true,
  abandoned: true,
  ttl: true,
  maxAttempts: true,
  crashLimit: true,
};

const MAX_CONSUMER_LENGTH = 200;

/**
 * Returns the message as it is at this moment.
 *
 * @throws TypeError naming what is wrong, and what is expected.
 * @throws ConfigurationError when the settings allow no leases.
 */
export function readMessage(message: InboxMessage, run: unknown, options: ReadOptions): ReadMessage {
  if (typeof message !== 'object' || message === null) {
    throw new TypeError('inbox.process() expects an object with a consumer, a messageId and a payload.');
  }
  refuseUnknown(Object.keys(message));
  const { consumer, messageId, payload, topic, key, headers, mode, abandoned } = message;
  // Its call is named after it, and operators look for it by its name.
  if (!isCallName(consumer) || consumer.length > MAX_CONSUMER_LENGTH) {
    throw wrong(
      'consumer',
      `expects text of 1 to ${MAX_CONSUMER_LENGTH} characters, without NUL and lone surrogates`,
    );
  }
  // However long it is: what a broker delivers must be handled or put aside, and not come again for ever.
  if (typeof messageId !== 'string' || messageId === '') {
    throw wrong('messageId', 'expects text that is not empty: without an id, nothing tells a repetition');
  }
  if (typeof run !== 'function')
    throw new TypeError('inbox.process() expects a function as its second argument.');
  const { name, rule, ttlMs } = readCall(
    {
      name: `inbox.${consumer}`,
      scope: consumer,
      key: messageId,
      mode,
      abandoned,
      ttl: message.ttl ?? options.settings.inboxTtl,
    },
    () => undefined,
    options,
  );
  return {
    consumer,
    messageId,
    payload,
    body: bodyOf({ messageId, topic, key, headers, payload }),
    deliveries: count('deliveries', message.deliveries ?? 1),
    maxAttempts: count('maxAttempts', message.maxAttempts ?? 20),
    crashLimit: count('crashLimit', message.crashLimit ?? 3),
    name,
    rule,
    ttlMs,
  };
}

function refuseUnknown(given: readonly string[]): void {
  const unknown = given.find((one) => !Object.hasOwn(inboxMessageNames, one));
  if (unknown === undefined) return;
  const names = Object.keys(inboxMessageNames);
  const meant = nearestName(unknown, names);
  const hint = meant === undefined ? ` It has ${names.join(', ')}.` : ` Did you mean \`${meant}\`?`;
  throw new TypeError(`inbox.process() has no option \`${unknown}\`.${hint}`);
}

/** Encoded before its handler can change it: a redrive hands over what has come. */
function bodyOf(kept: Pick<InboxMessage, 'messageId' | 'topic' | 'key' | 'headers' | 'payload'>): Buffer {
  try {
    return encode(kept);
  } catch (error) {
    if (!(error instanceof UnserializableError)) throw error;
    const [, name = 'payload', path = ''] = /^\.(topic|key|headers|payload)(.*)$/s.exec(error.path) ?? [];
    const where = path === '' ? '' : ` at ${path}`;
    throw wrong(name as keyof InboxMessage, `cannot be kept${where}: ${error.message}`);
  }
}

function count(name: keyof InboxMessage, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  throw wrong(name, 'expects a whole number of at least 1');
}

function wrong(name: keyof InboxMessage, problem: string): TypeError {
  return new TypeError(`inbox.process(): \`${name}\` ${problem}.`);
}
