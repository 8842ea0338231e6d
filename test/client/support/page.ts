/** A page that pays: `idempotentFetch` over a storage that outlives it, and a network that does as it is told. */

import { createIntents, idempotentFetch } from 'graphql-idempotency/client';
import type {
  IdempotentFetch,
  IdempotentFetchOptions,
  Intents,
  IntentsOptions,
} from 'graphql-idempotency/client';

export const ADDRESS = 'http://shop.example/graphql';
export const BODY = JSON.stringify({ query: 'mutation ($n: Int) { pay(n: $n) }', variables: { n: 5 } });
export const PAY = {
  method: 'POST',
  headers: { 'content-type': 'application/json', authorization: 'Bearer secret', 'x-csrf': 'secret' },
  body: BODY,
};
export const paid = (): Response => Response.json({ data: { pay: 1 } });
export const lost = (): never => {
  throw new TypeError('fetch failed');
};
export const refused = (): Response => new Response('', { status: 401 });

export interface Sent {
  readonly url: string;
  readonly key: string;
  readonly body: string;
  readonly headers: Headers;
  /** What was stored while it was on its way. */
  readonly stored: readonly string[];
}

/** A page: its `fetch`, over a storage that outlives it. */
export function page(
  {
    storage,
    items,
  }: {
    readonly storage: IntentsOptions['storage'];
    readonly items: Map<string, string>;
  },
  answer: (attempt: number) => Response,
  options: IdempotentFetchOptions = {},
): { send: IdempotentFetch; sent: Sent[]; intents: Intents } {
  const sent: Sent[] = [];
  const intents = createIntents({ storage });
  const send = idempotentFetch({
    attempts: 1,
    budget: false,
    intents,
    ...options,
    async fetch(url, init) {
      const headers = new Headers(init?.headers);
      const key = headers.get('idempotency-key')!;
      sent.push({
        url: url as string,
        key,
        body: init?.body as string,
        headers,
        stored: [...items.values()],
      });
      return answer(sent.length);
    },
  });
  return { send, sent, intents };
}

export const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => error,
  );
