/** What can become of one attempt: what the server does with it, and what the client gets to see. */

/** What an attempt tells of its intent. */
export type Says =
  /** It is settled. */
  | 'answer'
  /** This attempt was not executed. */
  | 'refusal'
  | 'nothing';

export interface Reply {
  readonly status: number;
  readonly body: string | (() => ReadableStream<Uint8Array>);
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Failure {
  /** Whether the server executes it, and when: on its way, or long after the client has lost it. */
  readonly executes: 'at once' | 'late' | 'never';
  /** What comes back; `undefined` where the connection breaks. */
  readonly reply: Reply | undefined;
  readonly says: Says;
  /** `always`: it takes longer than any attempt may; `deaf`: and the transport doesn't listen to its signal. */
  readonly slow?: 'always' | 'deaf';
  /** What `retryAfterMs` of the body asks for. */
  readonly floorMs?: number;
}

const json = (status: number, body: object): Reply => ({
  status,
  body: JSON.stringify(body),
  headers: { 'content-type': 'application/json' },
});
const page = (status: number): Reply => ({
  status,
  body: `<html><h1>${status}</h1></html>`,
  headers: { 'content-type': 'text/html' },
});
const coded = (status: number, code: string, more: object = {}): Reply =>
  json(status, { errors: [{ message: code, extensions: { code: `IDEMPOTENCY_${code}`, ...more } }] });
const withData = (code: string): Reply =>
  json(200, { data: { pay: null }, errors: [{ message: code, extensions: { code } }] });

const PAID = JSON.stringify({ data: { pay: 1 } });

function broken(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(PAID.slice(0, 9))),
    pull: (controller) => controller.error(new TypeError('terminated')),
  });
}

const paid: Reply = json(200, { data: { pay: 1 } });

export const FAILURES = {
  paid: { executes: 'at once', reply: paid, says: 'answer' },
  declined: { executes: 'at once', reply: withData('CARD_DECLINED'), says: 'answer' },
  'request lost': { executes: 'never', reply: undefined, says: 'nothing' },
  'response lost': { executes: 'at once', reply: undefined, says: 'nothing' },
  'request stuck in the network': { executes: 'late', reply: undefined, says: 'nothing' },
  slow: { executes: 'at once', reply: paid, says: 'nothing', slow: 'always' },
  'slow, deaf transport': { executes: 'at once', reply: paid, says: 'nothing', slow: 'deaf' },
  'body broken off': { executes: 'at once', reply: { status: 200, body: broken }, says: 'nothing' },
  'body cut short': {
    executes: 'at once',
    reply: { status: 200, body: PAID.slice(0, 9) },
    says: 'nothing',
  },
  'in progress': { executes: 'never', reply: coded(409, 'IN_PROGRESS'), says: 'nothing' },
  'in progress, retryAfterMs': {
    executes: 'never',
    reply: coded(409, 'IN_PROGRESS', { retryable: true, retryAfterMs: 700 }),
    says: 'nothing',
    floorMs: 700,
  },
  'in progress, status 200': {
    executes: 'never',
    reply: withData('IDEMPOTENCY_IN_PROGRESS'),
    says: 'nothing',
  },
  'store down': { executes: 'never', reply: coded(503, 'STORE_UNAVAILABLE'), says: 'nothing' },
  'COMMIT unknown': { executes: 'at once', reply: coded(503, 'OUTCOME_UNKNOWN'), says: 'nothing' },
  'server down': { executes: 'never', reply: page(503), says: 'nothing' },
  'bad gateway': { executes: 'at once', reply: page(502), says: 'nothing' },
  throttled: { executes: 'never', reply: page(429), says: 'nothing' },
  'crashed before': { executes: 'never', reply: page(500), says: 'nothing' },
  'crashed behind': { executes: 'at once', reply: page(500), says: 'nothing' },
  'crashed, JSON': {
    executes: 'at once',
    reply: json(500, { errors: [{ message: 'oh' }] }),
    says: 'nothing',
  },
  'key reused': { executes: 'never', reply: coded(422, 'KEY_REUSED'), says: 'answer' },
  'signed out': { executes: 'never', reply: page(401), says: 'refusal' },
  'signed out, JSON': {
    executes: 'never',
    reply: json(401, { errors: [{ message: 'no', extensions: { code: 'UNAUTHENTICATED' } }] }),
    says: 'refusal',
  },
  'signed out, status 200': { executes: 'never', reply: withData('UNAUTHENTICATED'), says: 'refusal' },
  'no scope': { executes: 'never', reply: coded(500, 'SCOPE_MISSING'), says: 'refusal' },
  'bad request': { executes: 'never', reply: page(400), says: 'refusal' },
} as const satisfies Record<string, Failure>;

export type FailureName = keyof typeof FAILURES;

/** `Retry-After` and `Date` as a server may send them, and what they ask for, in milliseconds. */
export interface Asked {
  readonly headers: () => Readonly<Record<string, string>>;
  readonly floorMs: (headers: Readonly<Record<string, string>>) => number;
}

const asks = (headers: Readonly<Record<string, string>>, floorMs: number): Asked => ({
  headers: () => headers,
  floorMs: () => floorMs,
});

/** The server's clock is a year behind, and only its own `Date` tells. */
const serverDate = 'Wed, 01 Jan 2025 00:00:00 GMT';

export const ASKED: Readonly<Record<string, Asked>> = {
  missing: asks({}, 0),
  none: asks({ 'retry-after': '0' }, 0),
  seconds: asks({ 'retry-after': '2' }, 2000),
  'half a minute': asks({ 'retry-after': '30' }, 30_000),
  absurd: asks({ 'retry-after': '99999999999' }, Infinity),
  negative: asks({ 'retry-after': '-5' }, 0),
  words: asks({ 'retry-after': 'in a while' }, 0),
  'date by the server': asks({ 'retry-after': 'Wed, 01 Jan 2025 00:00:03 GMT', date: serverDate }, 3000),
  'date of long ago': asks({ 'retry-after': 'Mon, 01 Jan 1990 00:00:00 GMT', date: serverDate }, 0),
  'date of another century': asks({ 'retry-after': 'Fri, 01 Jan 2100 00:00:00 GMT' }, Infinity),
  'date by our clock': {
    headers: () => ({ 'retry-after': new Date(Date.now() + 5000).toUTCString() }),
    floorMs: (headers) => Math.max(0, Date.parse(headers['retry-after']!) - Date.now()),
  },
};
