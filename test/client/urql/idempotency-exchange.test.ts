/** A real urql client and a real server, with a network between them that loses answers. */

import { Client, CombinedError, cacheExchange, fetchExchange, gql, mapExchange } from '@urql/core';
import type { ClientOptions, Exchange, OperationResult } from '@urql/core';
import { OutcomeUnknownError, RetryBudget, createIntents } from 'graphql-idempotency/client';
import type { IdempotentFetchOptions, Retry } from 'graphql-idempotency/client';
import { idempotencyExchange } from 'graphql-idempotency/client/urql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deferred } from '../../support/signal.ts';
import { startLossyService } from '../support/lossy-service.ts';
import type { LossyService } from '../support/lossy-service.ts';
import { webStorage } from '../support/storages.ts';

const PAY = gql`
  mutation ($amount: Int!) {
    pay(amount: $amount) {
      id
      amount
    }
  }
`;
const PING = gql`
  {
    ping
  }
`;
const fetchOptions = { headers: { authorization: 'Bearer alice' } };

let shop: LossyService;
const keys = (): (string | undefined)[] => shop.requests.map(({ key }) => key);

beforeAll(async () => {
  shop = await startLossyService();
});
afterAll(() => shop.stop());

function client(options: IdempotentFetchOptions = {}, more: Partial<ClientOptions> = {}): Client {
  const idempotency = idempotencyExchange({ baseDelayMs: 1, budget: false, ...options });
  return new Client({
    url: shop.url,
    fetchOptions,
    preferGetMethod: false,
    exchanges: [cacheExchange, idempotency, fetchExchange],
    ...more,
  });
}

const pay = (by: Client, amount: number, idempotency?: object): Promise<OperationResult> =>
  by.mutation(PAY, { amount }, idempotency && { idempotency }).toPromise();

describe('a mutation', () => {
  test('whose answers are lost is paid once, with one key, and its result comes once', async () => {
    await shop.lose('request', 'answer', 'half the answer', { status: 503 });
    const results: OperationResult[] = [];
    const heard: OperationResult[] = [];
    const watch = mapExchange({ onResult: (result) => void heard.push(result) });
    const exchanges = [
      cacheExchange,
      watch,
      idempotencyExchange({ baseDelayMs: 1, budget: false }),
      fetchExchange,
    ];
    await new Promise<void>((resolve) => {
      client({}, { exchanges })
        .mutation(PAY, { amount: 1 })
        .subscribe((result) => {
          results.push(result);
          resolve();
        });
    });
    expect(results).toHaveLength(1);
    expect(heard).toHaveLength(1);
    expect(results[0]).toMatchObject({ data: { pay: { amount: 1 } }, error: undefined });
    expect(results[0]!.extensions).toMatchObject({ idempotency: { pay: { outcome: 'replayed' } } });
    expect(new Set(keys()).size).toBe(1);
    expect(keys()).toHaveLength(5);
    expect(keys()[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(await shop.payments()).toBe(1);
  });

  test('that is sent twice is two intents', async () => {
    await shop.lose();
    const shopper = client();
    await pay(shopper, 2);
    await pay(shopper, 2);
    expect(new Set(keys()).size).toBe(2);
    expect(await shop.payments()).toBe(2);
  });

  test('has its key in extensions where that is asked for', async () => {
    await shop.lose('answer');
    expect((await pay(client({ keyIn: 'extensions' }), 3)).data).toMatchObject({ pay: { amount: 3 } });
    const inBody = shop.requests.map(
      ({ text }) =>
        (JSON.parse(text) as { extensions: { idempotencyKey: string } }).extensions.idempotencyKey,
    );
    expect(inBody[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(inBody[1]).toBe(inBody[0]);
    expect(keys()).toEqual([undefined, undefined]);
    expect(await shop.payments()).toBe(1);
  });

  test('keeps a key of the caller’s own: in the context, in a header, in the document', async () => {
    await shop.lose('answer', 'none', 'answer', 'none', 'answer');
    await pay(client(), 4, { key: 'urql-own-1' });
    await client()
      .mutation(
        PAY,
        { amount: 4 },
        { fetchOptions: { headers: { ...fetchOptions.headers, 'idempotency-key': 'urql-own-2' } } },
      )
      .toPromise();
    const inDocument = gql`
      mutation ($k: String!) {
        pay(amount: 4) @idempotent(key: $k) {
          amount
        }
      }
    `;
    const { error } = await client().mutation(inDocument, { k: 'urql-own-3' }).toPromise();
    expect(error).toBeUndefined();
    expect(keys()).toEqual(['urql-own-1', 'urql-own-1', 'urql-own-2', 'urql-own-2', undefined, undefined]);
    expect(await shop.payments()).toBe(3);
  });

  test('without a guard is sent once, and without a key', async () => {
    await shop.lose('answer');
    const shopper = client({ guarded: ({ query }) => query?.includes('pay') === true });
    const { error } = await shopper.mutation(gql('mutation { log }'), {}).toPromise();
    expect(error?.networkError).toBeInstanceOf(TypeError);
    expect(keys()).toEqual([undefined]);
  });

  test('tells its listeners of attempts and retries', async () => {
    await shop.lose('answer', { status: 502 });
    const attempts: number[] = [];
    const retries: Retry[] = [];
    const result = await pay(client(), 5, {
      onAttempt: (attempt: number) => attempts.push(attempt),
      onRetry: (retry: Retry) => retries.push(retry),
    });
    expect(result.error).toBeUndefined();
    expect(attempts).toEqual([1, 2, 3]);
    expect(retries).toMatchObject([
      { attempt: 2, key: keys()[0] },
      { attempt: 3, received: { status: 502 } },
    ]);
  });

  test('that is refused has the server’s error, and no retry', async () => {
    await shop.lose();
    await pay(client(), 6, { key: 'urql-reused' });
    const { error } = await pay(client(), 7, { key: 'urql-reused' });
    expect(error?.graphQLErrors).toMatchObject([{ extensions: { code: 'IDEMPOTENCY_KEY_REUSED' } }]);
    expect(shop.requests).toHaveLength(2);
  });
});

describe('an unknown outcome', () => {
  test('is the network error, with the key to send it again with', async () => {
    await shop.lose('answer', 'answer');
    const { error, data } = await pay(client({ attempts: 2 }), 8);
    expect(data).toBeUndefined();
    expect(error).toBeInstanceOf(CombinedError);
    const unknown = error!.networkError as OutcomeUnknownError;
    expect(unknown).toBeInstanceOf(OutcomeUnknownError);
    expect(unknown).toMatchObject({ reason: 'attempts', attempts: 2, key: keys()[0] });
    expect((await pay(client(), 8, { key: unknown.key })).data).toMatchObject({ pay: { amount: 8 } });
    expect(await shop.payments()).toBe(1);
  });

  test('says that the budget is exhausted', async () => {
    await shop.lose('answer');
    const budget = new RetryBudget({ share: 0, minimumPerMinute: 0 });
    const { error } = await pay(client({ budget }), 9);
    expect(error?.networkError).toMatchObject({ reason: 'budget' });
    expect(shop.requests).toHaveLength(1);
  });

  test('keeps its key when another exchange sends the operation again', async () => {
    await shop.lose('answer', 'answer', 'answer');
    const seen = new Set<unknown>();
    /** Sends what failed once more, as retrying exchanges do: the operation of the result. */
    const again: Exchange = mapExchange({
      onResult(result) {
        if (result.error?.networkError === undefined || seen.has(result.operation.key)) return;
        seen.add(result.operation.key);
        return shopper.executeRequestOperation(result.operation).toPromise();
      },
    });
    const idempotency = idempotencyExchange({ attempts: 2, baseDelayMs: 1, budget: false });
    const shopper = client({}, { exchanges: [again, idempotency, fetchExchange] });
    const result = await shopper.mutation(PAY, { amount: 10 }).toPromise();
    expect(result.data).toMatchObject({ pay: { amount: 10 } });
    // Two and two: the exchange did not retry its own retries.
    expect(keys()).toHaveLength(4);
    expect(new Set(keys()).size).toBe(1);
    expect(await shop.payments()).toBe(1);
  });

  test('of a named intent is sent again with its key, by another client', async () => {
    await shop.lose('answer');
    const { storage, items } = webStorage();
    const idempotency = { intent: 'cart-17' };
    await pay(client({ attempts: 1, intents: createIntents({ storage }) }), 11, idempotency);
    expect(items.size).toBe(1);
    const result = await pay(client({ intents: createIntents({ storage }) }), 11, idempotency);
    expect(result.data).toMatchObject({ pay: { amount: 11 } });
    expect(new Set(keys()).size).toBe(1);
    expect([items.size, await shop.payments()]).toEqual([0, 1]);
  });
});

describe('a query', () => {
  test('is sent again, and has no key', async () => {
    await shop.lose('request', { status: 503 });
    const { data } = await client().query(PING, {}).toPromise();
    expect(data).toEqual({ ping: 'pong' });
    expect(keys()).toEqual([undefined, undefined, undefined]);
  });

  test('is sent again by GET', async () => {
    await shop.lose('request');
    const headers = { 'apollo-require-preflight': 'true' };
    const { data } = await client({}, { preferGetMethod: true, fetchOptions: { headers } })
      .query(PING, {})
      .toPromise();
    expect(data).toEqual({ ping: 'pong' });
    expect(shop.requests.map(({ method }) => method)).toEqual(['GET', 'GET']);
  });
});

describe('what sends', () => {
  /** The platform's, counted. */
  function counted(): { readonly fetch: typeof fetch; readonly calls: () => number } {
    let calls = 0;
    const own: typeof fetch = async (...call) => {
      calls += 1;
      return fetch(...call);
    };
    return { fetch: own, calls: () => calls };
  }

  test('is the fetch of the client, then that of the options', async () => {
    await shop.lose('answer', 'none', 'answer');
    const [ofClient, ofOptions] = [counted(), counted()];
    await pay(client({ fetch: ofOptions.fetch }, { fetch: ofClient.fetch }), 12);
    expect([ofClient.calls(), ofOptions.calls()]).toEqual([2, 0]);
    await pay(client({ fetch: ofOptions.fetch }), 12);
    expect([ofClient.calls(), ofOptions.calls()]).toEqual([2, 2]);
  });
});

test('a query that nobody wants any more is not sent again', async () => {
  await shop.lose({ status: 503 });
  const left = deferred();
  const results: unknown[] = [];
  const onRetry = (): void => {
    subscription.unsubscribe();
    left.resolve();
  };
  const subscription = client({ baseDelayMs: 0 })
    .query(PING, {}, { idempotency: { onRetry } })
    .subscribe((result) => results.push(result));
  await left.promise;
  // This one comes behind anything that the first would still have sent.
  await client().query(PING, {}).toPromise();
  expect(shop.requests).toHaveLength(2);
  expect(results).toEqual([]);
});

test('an option that makes no sense is refused at once', () => {
  expect(() => idempotencyExchange({ attempts: 0 })).toThrow(RangeError);
});
