/** The form of an event: what may be added, and how it is kept. */

import type { NewEvent } from '../store/outbox-port.ts';

/** An event to publish once the attempt has committed. */
export interface EventToAdd {
  /**
   * Where it is published: 1 to 249 characters of letters, digits, `.`, `_`, `-`, `:` and `/`. What that is called is
   * the broker's business: a stream, a subject, a routing key, a topic.
   */
  readonly topic: string;
  /**
   * Events of one key are published one after the other, in the order in which they were added, over all topics: 1 to
   * 255 characters. That is the order of commits where one transaction waits for the other before it adds, say for the
   * lock on the row that the event tells of. Of two that overlap either may be first: an event whose transaction
   * commits when a later one was taken by a relay is published beside that one, or after it.
   *
   * @defaultValue none: published in any order
   */
  readonly key?: string | undefined;
  /** What `JSON.stringify` can write without loss; a `Buffer` or `Uint8Array` is published as it is. */
  readonly payload: unknown;
  /**
   * Texts without control characters that go with it, by names that are made lower-case. `content-type` is added where
   * it is not given; names that begin with `event-` are the relay's.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

const TOPIC = /^[\w.:/-]{1,249}$/;
const MAX_KEY_LENGTH = 255;
/** What every broker and HTTP take. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]{1,255}$/;
/** By which publishers say what event it is. */
const RESERVED_NAME = /^event-/i;
// oxlint-disable-next-line no-control-regex -- what would end a header's line is what it is about
const HEADER_VALUE = /^[^\u0000-\u001f\u007f]*$/;

/** NUL, which Postgres does not take, and half characters, which would not come back as they were. */
// oxlint-disable-next-line no-control-regex -- NUL is what it is about
const UNSTORABLE = /[\u0000\p{Surrogate}]/u;

/**
 * Returns the event as it is kept. What its caller changes later changes nothing.
 *
 * @throws TypeError naming what cannot be kept.
 */
export function readEvent(event: EventToAdd, maxBytes: number): Omit<NewEvent, 'eventId'> {
  if (typeof event !== 'object' || event === null)
    throw wrong('expects an object with a topic and a payload');
  const { topic, key, payload: given, headers: givenHeaders, ...unknown } = event;
  const [surplus] = Object.keys(unknown);
  if (surplus !== undefined)
    throw wrong(`knows no \`${surplus}\`: an event has topic, key, payload and headers`);
  if (typeof topic !== 'string' || !TOPIC.test(topic)) {
    throw wrong('expects a `topic` of 1 to 249 letters, digits and the characters . _ - : /');
  }
  if (key !== undefined && !isText(key, MAX_KEY_LENGTH)) {
    throw wrong(`expects a \`key\` of 1 to ${MAX_KEY_LENGTH} characters`);
  }
  const [payload, contentType] = readPayload(given);
  const headers = { 'content-type': contentType, ...readHeaders(givenHeaders) };
  const bytes = payload.length + Buffer.byteLength(JSON.stringify(headers));
  if (bytes > maxBytes) {
    throw wrong(
      `takes at most ${maxBytes} bytes of payload and headers (setting \`maxEventBytes\`), got ${bytes}`,
    );
  }
  return { topic, orderingKey: key, headers, payload };
}

function readPayload(given: unknown): readonly [payload: Buffer, contentType: string] {
  if (given instanceof Uint8Array) return [Buffer.from(given), 'application/octet-stream'];
  let text: string | undefined;
  try {
    text = JSON.stringify(given, refuseLoss);
  } catch (error) {
    throw wrong(`cannot write the payload as JSON: ${(error as Error).message}`, error);
  }
  if (text === undefined) throw wrong('needs a `payload`; null is one');
  return [Buffer.from(text), 'application/json'];
}

/** What they hold is in no property: JSON would write them as empty. A promise is an `await` that was forgotten. */
const HOLLOW = [Map, Set, WeakMap, WeakSet, Promise, RegExp, Error, ArrayBuffer];

/** What JSON would leave out or replace without a word. A property that is `undefined` is as good as none. */
function refuseLoss(this: unknown, name: string, value: unknown): unknown {
  const lost =
    typeof value === 'function' ||
    typeof value === 'symbol' ||
    (typeof value === 'number' && !Number.isFinite(value)) ||
    (value === undefined && Array.isArray(this)) ||
    HOLLOW.some((kind) => value instanceof kind) ||
    ArrayBuffer.isView(value);
  // As it was before its `toJSON`, which says null of a date that is none.
  const before: unknown = (this as Readonly<Record<string, unknown>>)[name];
  const isNoDate = before instanceof Date && Number.isNaN(before.getTime());
  if (!lost && !isNoDate) return value;
  const what = isNoDate
    ? 'no valid Date'
    : typeof value === 'object' && value !== null
      ? value.constructor.name
      : String(value);
  throw new TypeError(`${name === '' ? 'it' : `\`${name}\``} is ${what}`);
}

function readHeaders(given: unknown): Record<string, string> {
  if (given === undefined) return {};
  if (typeof given !== 'object' || given === null) throw wrong('expects `headers` to be an object of texts');
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(given as Record<string, unknown>)) {
    if (!HEADER_NAME.test(name) || RESERVED_NAME.test(name)) {
      throw wrong('expects names of headers to be tokens, as in HTTP, that do not begin with `event-`');
    }
    if (typeof value !== 'string' || UNSTORABLE.test(value) || !HEADER_VALUE.test(value)) {
      throw wrong(`expects the header \`${name}\` to be text without control characters`);
    }
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

function isText(value: unknown, maxLength: number): boolean {
  return typeof value === 'string' && value !== '' && value.length <= maxLength && !UNSTORABLE.test(value);
}

function wrong(problem: string, cause?: unknown): TypeError {
  return new TypeError(`outbox.add() ${problem}.`, { cause });
}
