/** The `fetch` that retries: what it sends, how often, and what its caller gets. */

import { describe, expect, test } from 'vitest';
import { OutcomeUnknownError, RetryBudget, idempotentFetch } from 'graphql-idempotency/client';

const fast = { baseDelayMs: 1, budget: false } as const;
const mutation = (body: object = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ query: 'mutation { pay }', ...body }),
});

type Script = (request: { readonly key: string | null; readonly body: string }) => Response | Error;

/** A transport that does what it is told, one attempt after another. */
function scripted(...scripts: Script[]): { fetch: typeof fetch; keys: (string | null)[] } {
  const keys: (string | null)[] = [];
  return {
    keys,
    fetch: async (_, init) => {
      const key = new Headers(init?.headers).get('idempotency-key');
      keys.push(key);
      const came = scripts.shift()!({ key, body: init?.body as string });
      if (came instanceof Error) throw came;
      return came;
    },
  };
}
const lost: Script = () => new TypeError('fetch failed');
const answer =
  (body: object, status = 200, headers: Record<string, string> = {}): Script =>
  () =>
    Response.json(body, { status, headers });
const paid = answer({ data: { pay: 1 } });

describe('a mutation', () => {
  test('is sent again with the same key until there is an answer', async () => {
    const { fetch, keys } = scripted(lost, answer({}, 503), paid);
    const response = await idempotentFetch({ ...fast, fetch })('http://shop/graphql', mutation());
    expect(await response.json()).toEqual({ data: { pay: 1 } });
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('ends in an error that carries its key when no attempt is answered', async () => {
    const { fetch, keys } = scripted(lost, lost);
    const call = idempotentFetch({ ...fast, attempts: 2, fetch })('http://shop/graphql', mutation());
    const error = await call.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    expect(error).toMatchObject({ reason: 'attempts', attempts: 2, key: keys[0] });
    expect((error as Error).message).toMatch(/unknown; the same key may be sent again/);
  });

  test('is not sent again when the budget is exhausted, and says so', async () => {
    const { fetch, keys } = scripted(lost, paid);
    const budget = new RetryBudget({ share: 0, minimumPerMinute: 0 });
    const call = idempotentFetch({ budget, fetch })('http://shop/graphql', mutation());
    await expect(call).rejects.toThrow(/budget is exhausted/);
    expect(keys).toHaveLength(1);
  });
});
