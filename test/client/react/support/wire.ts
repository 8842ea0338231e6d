/** A transport whose answers the test gives, one request after another, when it wants to. */

import { deferred, within } from '../../../support/signal.ts';
import type { Deferred } from '../../../support/signal.ts';

export interface WireRequest {
  readonly key: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal | undefined;
  /** Answers with a GraphQL response. */
  answer(body: object, status?: number): void;
  /** Breaks the connection. */
  lose(): void;
}

export interface Wire {
  readonly fetch: typeof globalThis.fetch;
  /** Everything that was sent. */
  readonly sent: readonly WireRequest[];
  /** The request of that number, as soon as it is sent; the first is 0. */
  request(number: number): Promise<WireRequest>;
}

export const paid = { data: { pay: { id: '1', amount: 100 } } };

export const outcome = (said: 'executed' | 'replayed'): object => ({
  ...paid,
  extensions: { idempotency: { pay: { outcome: said } } },
});

export const refused = (code: string): object => ({ errors: [{ message: code, extensions: { code } }] });

export function createWire(): Wire {
  const sent: WireRequest[] = [];
  const waiting = new Map<number, Deferred<WireRequest>>();
  return {
    sent,
    async fetch(_, init) {
      const response = deferred<Response>();
      const request: WireRequest = {
        key: new Headers(init?.headers).get('idempotency-key'),
        variables: JSON.parse(init?.body as string).variables,
        signal: init?.signal ?? undefined,
        answer: (body, status = 200) =>
          response.resolve(
            new Response(JSON.stringify(body), {
              status,
              headers: { 'content-type': 'application/graphql-response+json' },
            }),
          ),
        lose: () => response.reject(new TypeError('fetch failed')),
      };
      sent.push(request);
      waiting.get(sent.length - 1)?.resolve(request);
      return response.promise;
    },
    async request(number) {
      const there = sent[number];
      if (there !== undefined) return there;
      const awaited = deferred<WireRequest>();
      waiting.set(number, awaited);
      return within(awaited.promise, { what: `request ${number}` });
    },
  };
}
