/** `idempotentFetch` against a real Apollo Server with the library, through a proxy that loses answers. */

import { createHash } from 'node:crypto';
import { GraphQLClient } from 'graphql-request';
import { OutcomeUnknownError, idempotentFetch } from 'graphql-idempotency/client';
import type { Retry } from 'graphql-idempotency/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deferred } from '../../support/signal.ts';
import { startLossyService } from '../support/lossy-service.ts';
import type { LossyService } from '../support/lossy-service.ts';

const fast = { baseDelayMs: 1, budget: false } as const;
const PAY = 'mutation ($amount: Int!) { pay(amount: $amount) { id amount } }';
const headers = { 'content-type': 'application/json', authorization: 'Bearer alice' };
const post = (body: object, more: Record<string, string> = {}): RequestInit & { body: string } => ({
  method: 'POST',
  headers: { ...headers, ...more },
  body: JSON.stringify(body),
});
const pay = (amount: number, more: Record<string, string> = {}): RequestInit & { body: string } =>
  post({ query: PAY, variables: { amount } }, more);
const paid = (amount: number): object => ({ data: { pay: { amount } } });

let shop: LossyService;
const send = idempotentFetch(fast);
const keys = (): (string | undefined)[] => shop.requests.map(({ key }) => key);

/** One key, sent so many times, and one row. */
async function expectOnePayment(sent: number): Promise<void> {
  expect(shop.requests).toHaveLength(sent);
  expect(new Set(keys()).size).toBe(1);
  expect(keys()[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(await shop.payments()).toBe(1);
}

beforeAll(async () => {
  shop = await startLossyService();
});
afterAll(() => shop.stop());

describe('answers that are lost cost one row and one key', () => {
  const forms: [string, (url: string) => Promise<Response>][] = [
    ['an address as text', (url) => send(url, pay(1))],
    ['a URL', (url) => send(new URL(url), pay(1))],
    ['a Request', (url) => send(new Request(url, pay(1)))],
    [
      'a Request and an init that changes it',
      (url) => send(new Request(url, { method: 'POST', headers }), pay(1)),
    ],
    ['headers as a list', (url) => send(url, { ...pay(1), headers: Object.entries(headers) })],
  ];
  test.each(forms)('%s', async (_, call) => {
    await shop.lose('request', 'answer', 'half the answer', { status: 503 });
    const response = await call(shop.url);
    expect(await response.json()).toMatchObject(paid(1));
    await expectOnePayment(5);
  });

  test("graphql-request's client", async () => {
    await shop.lose('answer', 'answer');
    const client = new GraphQLClient(shop.url, { fetch: send, headers });
    expect(await client.request(PAY, { amount: 2 })).toMatchObject({ pay: { amount: 2 } });
    await expectOnePayment(3);
  });

  test.each(['application/json', 'application/graphql-response+json'])('%s', async (accept) => {
    await shop.lose('answer');
    const response = await send(shop.url, pay(3, { accept }));
    expect(response.headers.get('content-type')).toContain(accept);
    expect(await response.json()).toMatchObject(paid(3));
    await expectOnePayment(2);
  });
});

test('the response says that it is a replay, and is otherwise as it came', async () => {
  await shop.lose('none', 'answer');
  const first = await send(shop.url, pay(4));
  expect(first.headers.get('idempotent-replayed')).toBeNull();
  const replayed = await send(shop.url, pay(4));
  expect(replayed.headers.get('idempotent-replayed')).toBe('true');
  expect([replayed.status, replayed.ok, replayed.url]).toEqual([200, true, shop.url]);
});

test.each(['application/json', 'application/graphql-response+json'])(
  'a copy that is in progress is waited for, with %s',
  async (accept) => {
    await shop.lose();
    const { reached, release } = shop.hold();
    const key = `in-progress-${accept.length}`;
    const first = send(shop.url, pay(5, { accept, 'idempotency-key': key }));
    await reached;
    const refused = deferred<Retry>();
    const second = send(shop.url, {
      ...pay(5, { accept, 'idempotency-key': key }),
      onRetry: refused.resolve,
    });
    const { received, delayMs } = await refused.promise;
    expect((received as Response).status).toBe(409);
    // The server says how long, in its error and in `Retry-After`.
    expect(delayMs).toBeGreaterThanOrEqual(1000);
    release();
    const [one, other] = await Promise.all([first, second]);
    expect(await other.json()).toMatchObject(paid(5));
    expect([one, other].map(({ headers }) => headers.get('idempotent-replayed'))).toEqual([null, 'true']);
    expect(await shop.payments()).toBe(1);
  },
);

describe('where the key goes', () => {
  test('extensions, beside those that are there', async () => {
    const inBody = idempotentFetch({ ...fast, keyIn: 'extensions' });
    await shop.lose('answer');
    await inBody(shop.url, pay(6));
    const body = { query: PAY, variables: { amount: 6 }, extensions: { trace: { on: true } } };
    await inBody(shop.url, post(body));
    const sent = shop.requests.map(
      ({ text }) => JSON.parse(text) as { extensions: { idempotencyKey: string } },
    );
    expect(sent).toMatchObject([{}, {}, { extensions: { trace: { on: true } } }]);
    const [first, second, third] = sent.map(({ extensions }) => extensions.idempotencyKey);
    expect(first).toMatch(/^[0-9a-f-]{36}$/);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
    expect(keys()).toEqual([undefined, undefined, undefined]);
    expect(await shop.payments()).toBe(2);
  });

  const own: [string, string, () => Promise<Response>][] = [
    ['a header', 'own-1', () => send(shop.url, pay(7, { 'Idempotency-Key': 'own-1' }))],
    ['the call', 'own-2', () => send(shop.url, { ...pay(7), key: 'own-2' })],
    [
      'extensions',
      'own-3',
      () =>
        send(
          shop.url,
          post({ query: PAY, variables: { amount: 7 }, extensions: { idempotencyKey: 'own-3' } }),
        ),
    ],
    [
      'the document',
      'own-4',
      () =>
        send(shop.url, post({ query: 'mutation { pay(amount: 7) @idempotent(key: "own-4") { amount } }' })),
    ],
    [
      'a variable of the document',
      'own-5',
      () => {
        const query = 'mutation ($k: String!) { pay(amount: 7) @idempotent(key: $k) { amount } }';
        return send(shop.url, post({ query, variables: { k: 'own-5' } }));
      },
    ],
  ];
  test.each(own)('a key of the caller in %s is left alone', async (place, key, call) => {
    await shop.lose('answer');
    expect(await (await call()).json()).toMatchObject(paid(7));
    const inHeader = ['a header', 'the call'].includes(place) ? key : undefined;
    expect(keys()).toEqual([inHeader, inHeader]);
    expect(await shop.payments()).toBe(1);
    await shop.lose({ status: 502 });
    const error = await idempotentFetch({ ...fast, attempts: 1 })(
      shop.url,
      pay(7, { 'idempotency-key': key }),
    ).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ key });
  });
});

describe('an unknown outcome', () => {
  test('carries what came last, and its key gets the answer later', async () => {
    await shop.lose('answer', { status: 502 });
    const error = await idempotentFetch({ ...fast, attempts: 2 })(shop.url, pay(8)).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    const { key, received } = error as OutcomeUnknownError;
    expect(received).toBeInstanceOf(Response);
    expect((received as Response).status).toBe(502);
    const response = await send(shop.url, { ...pay(8), key });
    expect(response.headers.get('idempotent-replayed')).toBe('true');
    expect(await response.json()).toMatchObject(paid(8));
    await expectOnePayment(3);
  });

  test('stays unknown when the user is signed out in between', async () => {
    await shop.lose('answer', { status: 401 });
    const error = await send(shop.url, pay(9)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      name: 'OutcomeUnknownError',
      reason: 'refused',
      received: { status: 401 },
    });
    const signedOut = { ...pay(9), headers: { 'content-type': 'application/json' }, key: keys()[0] };
    await shop.lose();
    // The server itself says SCOPE_MISSING: of this call, not of the first.
    await expect(send(shop.url, signedOut)).rejects.toMatchObject({
      reason: 'refused',
      received: { status: 500 },
    });
    expect(await shop.payments()).toBe(0);
  });

  test('is none when the first attempt is refused', async () => {
    await shop.lose({ status: 401 });
    expect((await send(shop.url, pay(10))).status).toBe(401);
    expect(shop.requests).toHaveLength(1);
  });
});

test('another content under a used key is answered once', async () => {
  await shop.lose();
  await send(shop.url, { ...pay(11), key: 'reused' });
  const response = await send(shop.url, { ...pay(12), key: 'reused' });
  expect(response.status).toBe(422);
  expect(shop.requests).toHaveLength(2);
});

describe('queries', () => {
  test('by POST are sent again, without a key', async () => {
    await shop.lose('request', { status: 503 });
    expect(await (await send(shop.url, post({ query: '{ ping }' }))).json()).toEqual({
      data: { ping: 'pong' },
    });
    expect(keys()).toEqual([undefined, undefined, undefined]);
  });

  test.each(['?query={ping}', '?query=query A{ping} query B{ping}&operationName=B'])(
    'by GET: %s',
    async (asks) => {
      await shop.lose('request', { status: 503 });
      const init = { headers: { 'apollo-require-preflight': 'true' } };
      expect(await (await send(shop.url + asks, init)).json()).toEqual({ data: { ping: 'pong' } });
      expect(shop.requests.map(({ method, key }) => [method, key])).toEqual(
        Array.from({ length: 3 }, () => ['GET', undefined]),
      );
    },
  );

  test('end with what came last', async () => {
    await shop.lose({ status: 503 }, { status: 502 });
    const response = await idempotentFetch({ ...fast, attempts: 2 })(shop.url, post({ query: '{ ping }' }));
    expect(response.status).toBe(502);
  });
});

describe('what gets no key', () => {
  test('a mutation that is not guarded is sent once', async () => {
    const some = idempotentFetch({ ...fast, guarded: ({ query }) => query?.includes('pay') === true });
    await shop.lose('answer');
    await expect(some(shop.url, post({ query: 'mutation { log }' }))).rejects.toThrow(TypeError);
    expect(keys()).toEqual([undefined]);
    await shop.lose('answer');
    expect(await (await some(shop.url, pay(13))).json()).toMatchObject(paid(13));
    await expectOnePayment(2);
  });

  test('a mutation that has a key already is retried, guarded or not', async () => {
    const none = idempotentFetch({ ...fast, guarded: () => false });
    await shop.lose('answer');
    expect(await (await none(shop.url, { ...pay(14), key: 'guarded-by-the-caller' })).json()).toMatchObject(
      paid(14),
    );
    expect(await shop.payments()).toBe(1);
  });
});

describe('a persisted document', () => {
  const sha256Hash = createHash('sha256').update(PAY).digest('hex');
  const extensions = { persistedQuery: { version: 1, sha256Hash } };
  const byId = post({ variables: { amount: 15 }, extensions });

  test('is sent once, as it is, when nobody says what it is', async () => {
    await shop.lose();
    await send(shop.url, post({ query: PAY, variables: { amount: 15 }, extensions }));
    await shop.lose('answer');
    await expect(send(shop.url, byId)).rejects.toThrow(TypeError);
    expect(keys()).toEqual([undefined]);
  });

  test('is a mutation where `operationType` says so', async () => {
    const knows = idempotentFetch({
      ...fast,
      operationType: ({ query }) => (query === undefined ? 'mutation' : undefined),
    });
    await shop.lose('answer');
    expect(await (await knows(shop.url, byId)).json()).toMatchObject(paid(15));
    await expectOnePayment(2);
  });
});
