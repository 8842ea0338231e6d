/** What isn't one GraphQL operation passes through `idempotentFetch` as it is, once. */

import { describe, expect, test } from 'vitest';
import { OutcomeUnknownError, idempotentFetch } from 'graphql-idempotency/client';

const fast = { baseDelayMs: 0, budget: false } as const;
const URL_ = 'http://shop.example/graphql';
const json = { 'content-type': 'application/json' };
const PAY = { method: 'POST', headers: json, body: JSON.stringify({ query: 'mutation { pay }' }) };

interface Sent {
  readonly request: Request | string | URL;
  readonly init: RequestInit | undefined;
  readonly key: string | null;
}

/** A transport that fails, or answers as it is told. */
function transport(answer?: () => Response | Promise<Response>): { fetch: typeof fetch; sent: Sent[] } {
  const sent: Sent[] = [];
  return {
    sent,
    async fetch(request, init) {
      sent.push({ request, init, key: new Headers(init?.headers).get('idempotency-key') });
      if (answer === undefined) throw new TypeError('fetch failed');
      return answer();
    },
  };
}

describe('is sent once, untouched, though it is lost', () => {
  const form = new FormData();
  form.set('operations', JSON.stringify({ query: 'mutation ($file: Upload!) { upload(file: $file) }' }));
  form.set('map', '{"0":["variables.file"]}');
  form.set('0', new Blob(['content']));
  const passes: [string, Request | string, RequestInit | undefined][] = [
    ['a batch', URL_, { ...PAY, body: JSON.stringify([{ query: 'mutation { pay }' }]) }],
    ['an upload', URL_, { method: 'POST', body: form }],
    ['an upload as a Request', new Request(URL_, { method: 'POST', body: form }), undefined],
    ['a subscription', URL_, { ...PAY, body: JSON.stringify({ query: 'subscription { paid }' }) }],
    [
      'several operations, none of them named',
      URL_,
      { ...PAY, body: '{"query":"mutation A {a} mutation B {b}"}' },
    ],
    ['a document by its id', URL_, { ...PAY, body: '{"extensions":{"persistedQuery":{}}}' }],
    ['a form', URL_, { method: 'POST', body: 'a=1&query=mutation' }],
    ['JSON of another kind', URL_, { ...PAY, body: '{"hello":"mutation { pay }"}' }],
    ['a text', URL_, { ...PAY, body: '"mutation { pay }"' }],
    ['bytes', URL_, { ...PAY, body: new TextEncoder().encode(PAY.body) }],
    ['no body', URL_, { method: 'DELETE' }],
    ['a page', 'http://shop.example/', undefined],
    ['a search', 'http://shop.example/?query=shoes', undefined],
    ['a mutation by GET', 'http://shop.example/?query=mutation{pay}', undefined],
  ];
  test.each(passes)('%s', async (_, request, init) => {
    const { fetch, sent } = transport();
    await expect(idempotentFetch({ ...fast, fetch })(request, init)).rejects.toThrow(TypeError);
    expect(sent).toHaveLength(1);
    expect(sent[0]!.request).toBe(request);
    expect(sent[0]!.init ?? {}).toEqual(init ?? {});
    expect(sent[0]!.key).toBeNull();
  });

  test('a Request that passes can still be read', async () => {
    const read: string[] = [];
    const fetch: typeof globalThis.fetch = async (request) => {
      read.push(await (request as Request).text());
      return new Response('ok');
    };
    const body = JSON.stringify([{ query: 'mutation { pay }' }]);
    await idempotentFetch({ ...fast, fetch })(new Request(URL_, { ...PAY, body }));
    expect(read).toEqual([body]);
  });

  test('an answer that passes is the very one that came', async () => {
    const answer = new Response('<html>', { status: 503 });
    const { fetch } = transport(() => answer);
    expect(await idempotentFetch({ ...fast, fetch })('http://shop.example/')).toBe(answer);
  });
});

test('the platform’s fetch is the one of the moment', async () => {
  const own = globalThis.fetch;
  const send = idempotentFetch(fast);
  const { fetch, sent } = transport(() => Response.json({ data: { pay: 1 } }));
  globalThis.fetch = fetch;
  try {
    await send(URL_, PAY);
  } finally {
    globalThis.fetch = own;
  }
  expect(sent).toHaveLength(1);
});

test('with the key in the body, every digit of it is what the caller wrote', async () => {
  const { fetch, sent } = transport(() => Response.json({ data: { pay: 1 } }));
  const body = '{"query":"mutation { pay }","variables":{"cents":90071992547409931234,"rate":1.0}} \n';
  await idempotentFetch({ ...fast, fetch, keyIn: 'extensions', newKey: () => 'k' })(URL_, { ...PAY, body });
  expect(sent[0]!.init!.body).toBe(`${body.trim().slice(0, -1)},"extensions":{"idempotencyKey":"k"}}`);
  expect(JSON.parse(sent[0]!.init!.body as string)).toMatchObject({ extensions: { idempotencyKey: 'k' } });
});

describe('a caller that gives up', () => {
  const reason = new Error('enough');

  test('before it begins gets its own reason, and nothing is sent', async () => {
    const { fetch, sent } = transport();
    const send = idempotentFetch({ ...fast, fetch });
    const signal = AbortSignal.abort(reason);
    await expect(send(URL_, { ...PAY, signal })).rejects.toBe(reason);
    await expect(send(new Request(URL_, { ...PAY, signal }))).rejects.toBe(reason);
    expect(sent).toHaveLength(0);
  });

  test('by the signal of its Request ends it as well', async () => {
    const controller = new AbortController();
    const { fetch, sent } = transport(() => {
      controller.abort(reason);
      throw new TypeError('fetch failed');
    });
    const request = new Request(URL_, { ...PAY, signal: controller.signal });
    const error = await idempotentFetch({ ...fast, fetch })(request).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    expect(error).toMatchObject({ reason: 'aborted' });
    expect(sent).toHaveLength(1);
  });
});

describe('an answer in parts', () => {
  const cancelled: unknown[] = [];
  const parts = (): Response => {
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('--a\r\n\r\n{"data":{"pay":1}}')),
      cancel: (reason) => void cancelled.push(reason),
    });
    return new Response(body, { headers: { 'content-type': 'multipart/mixed; boundary=a' } });
  };

  test('is there with its first part', async () => {
    const { fetch } = transport(parts);
    const response = await idempotentFetch({ ...fast, fetch })(URL_, PAY);
    const { value } = await response.body!.getReader().read();
    expect(new TextDecoder().decode(value)).toContain('"pay":1');
    expect(response.headers.get('content-type')).toContain('multipart/mixed');
  });

  test('ends when the caller gives up in the middle', async () => {
    const { fetch } = transport(parts);
    const controller = new AbortController();
    const response = await idempotentFetch({ ...fast, fetch })(URL_, { ...PAY, signal: controller.signal });
    const reader = response.body!.getReader();
    await reader.read();
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(reader.read()).rejects.toBe(reason);
    expect(cancelled).toEqual([reason]);
  });

  test('with an error status is read like any other', async () => {
    const { fetch, sent } = transport(
      () => new Response('', { status: 503, headers: { 'content-type': 'multipart/mixed' } }),
    );
    const call = idempotentFetch({ ...fast, fetch, attempts: 2 })(URL_, PAY);
    await expect(call).rejects.toThrow(OutcomeUnknownError);
    expect(sent).toHaveLength(2);
  });
});
