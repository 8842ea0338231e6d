/** Which answers and failures are followed by another attempt, through the link that sends over HTTP. */

import { CombinedGraphQLErrors, HttpLink, ServerError, gql } from '@apollo/client';
import type { ApolloClient } from '@apollo/client';
import { describe, expect, test, vi } from 'vitest';
import { OutcomeUnknownError, RetryBudget } from 'graphql-idempotency/client';
import type { Retry } from 'graphql-idempotency/client';
import { idempotencyLink, isOutcomeUnknown, retryLink } from 'graphql-idempotency/client/apollo';
import { BARE_PAY, FAST, PING, clientOf, clientOver, failureOf } from './client.ts';
import { GRAPHQL_RESPONSE, answer, lost, paid, ponged, refused, scriptedFetch } from './scripted-fetch.ts';
import type { Script } from './scripted-fetch.ts';

const pay = (client: ApolloClient): Promise<unknown> => client.mutate({ mutation: BARE_PAY });
const ping = (client: ApolloClient): Promise<unknown> => client.query({ query: PING });
const page = (status: number): Script => answer('<html>Sorry.</html>', { status, type: 'text/html' });

const passing: readonly (readonly [string, Script])[] = [
  ['a failure of the transport', lost],
  ...[429, 502, 503, 504].map((status) => [`a page with ${status}`, page(status)] as const),
  ['an empty JSON object with 503', answer({}, { status: 503 })],
  ['a GraphQL error without a code of ours with 503', refused('OVERLOADED', { status: 503 })],
  ['the same as graphql-response+json', refused('OVERLOADED', { status: 503, type: GRAPHQL_RESPONSE })],
  ...[
    'IDEMPOTENCY_IN_PROGRESS',
    'IDEMPOTENCY_OUTCOME_UNKNOWN',
    'IDEMPOTENCY_STORE_UNAVAILABLE',
    'IDEMPOTENCY_TRANSACTION_ABORTED',
    'IDEMPOTENCY_LEASE_LOST',
  ].flatMap((code) => {
    const status = code === 'IDEMPOTENCY_IN_PROGRESS' ? 409 : 503;
    return [
      [`${code} as an HTTP error`, refused(code, { status })],
      [`${code} as graphql-response+json`, refused(code, { status, type: GRAPHQL_RESPONSE })],
      [`${code} with status 200`, refused(code)],
    ] as const;
  }),
  [
    'a code of ours beside the data of another field',
    answer({
      data: { one: 1, pay: null },
      errors: [{ message: 'busy', extensions: { code: 'IDEMPOTENCY_IN_PROGRESS' } }],
    }),
  ],
];

describe('is followed by another attempt with the same key', () => {
  test.each(passing)('%s', async (_, script) => {
    const { fetch, asked, keys } = scriptedFetch(script, script, paid);
    expect(await pay(clientOver(fetch))).toMatchObject({ data: { pay: { id: '1' } } });
    expect(asked).toHaveLength(3);
    expect(keys()).toEqual([expect.any(String)]);
  });

  test.each<readonly [string, Script]>([
    ['a page with 500', page(500)],
    ['a page with 200', page(200)],
    ['a JSON body that is cut short', answer('{"data":{"pay":{"id"', {})],
    ['an internal error without data', refused('INTERNAL_SERVER_ERROR', { status: 500 })],
    [
      'an internal error without data as graphql-response+json',
      refused('INTERNAL_SERVER_ERROR', { status: 500, type: GRAPHQL_RESPONSE }),
    ],
  ])('%s, because it has one', async (_, script) => {
    const mutation = scriptedFetch(script, paid);
    await pay(clientOver(mutation.fetch));
    expect(mutation.asked).toHaveLength(2);
    const query = scriptedFetch(script, ponged);
    await failureOf(ping(clientOver(query.fetch)));
    expect(query.asked).toHaveLength(1);
  });

  test.each(passing)('%s, when it is a query', async (_, script) => {
    const { fetch, asked } = scriptedFetch(script, script, ponged);
    expect(await ping(clientOver(fetch))).toMatchObject({ data: { ping: 'pong' } });
    expect(asked.map(({ key }) => key)).toEqual([null, null, null]);
  });
});

const final: readonly (readonly [string, Script])[] = [
  ['KEY_REUSED as an HTTP error', refused('IDEMPOTENCY_KEY_REUSED', { status: 422 })],
  [
    'KEY_REUSED as graphql-response+json',
    refused('IDEMPOTENCY_KEY_REUSED', { status: 422, type: GRAPHQL_RESPONSE }),
  ],
  ['KEY_REUSED with status 200', refused('IDEMPOTENCY_KEY_REUSED')],
  ['KEY_EXPIRED', refused('IDEMPOTENCY_KEY_EXPIRED', { status: 410 })],
  ['KEY_MISSING', refused('IDEMPOTENCY_KEY_MISSING', { status: 400 })],
  ['BAD_USER_INPUT as an HTTP error', refused('BAD_USER_INPUT', { status: 400 })],
  [
    'BAD_USER_INPUT as graphql-response+json',
    refused('BAD_USER_INPUT', { status: 400, type: GRAPHQL_RESPONSE }),
  ],
  [
    'BAD_USER_INPUT of the resolver',
    answer({ data: { pay: null }, errors: [{ message: 'no', extensions: { code: 'BAD_USER_INPUT' } }] }),
  ],
  [
    'an internal error of the resolver',
    answer({
      data: { pay: null },
      errors: [{ message: 'no', extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
    }),
  ],
  ['a page with 401', page(401)],
  ['a page with 404', page(404)],
];

describe('is the end of it', () => {
  test.each(final)('%s', async (_, script) => {
    const { fetch, asked } = scriptedFetch(script, paid);
    const error = await failureOf(pay(clientOver(fetch)));
    expect(ServerError.is(error) || CombinedGraphQLErrors.is(error)).toBe(true);
    expect(isOutcomeUnknown(error)).toBe(false);
    expect(asked).toHaveLength(1);
  });
});

describe('a refusal after a lost answer says nothing of the first attempt', () => {
  test.each<readonly [string, Script]>([
    ['a page with 401', page(401)],
    ['an error of the layers around', refused('UNAUTHENTICATED', { status: 401 })],
    [
      'the same as graphql-response+json',
      refused('UNAUTHENTICATED', { status: 401, type: GRAPHQL_RESPONSE }),
    ],
    ['a server that does not know the user any more', refused('IDEMPOTENCY_SCOPE_MISSING', { status: 500 })],
  ])('%s', async (_, script) => {
    const { fetch, keys, asked } = scriptedFetch(lost, script);
    const error = await failureOf(pay(clientOver(fetch)));
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    expect(error).toMatchObject({ reason: 'refused', attempts: 2, key: keys()[0] });
    expect(isOutcomeUnknown(error)).toBe(true);
    expect(asked).toHaveLength(2);
  });

  test('neither does one when the caller says that the key was sent before', async () => {
    const { fetch } = scriptedFetch(page(401));
    const context = { idempotency: { key: 'of-another-page', sentBefore: true } };
    const error = await failureOf(clientOver(fetch).mutate({ mutation: BARE_PAY, context }));
    expect(error).toMatchObject({ reason: 'refused', attempts: 1, key: 'of-another-page' });
  });

  test('neither does one when the same key is sent again by hand', async () => {
    const { fetch, asked } = scriptedFetch(lost, page(401), paid);
    const client = clientOver(fetch, { ...FAST, attempts: 1 });
    const context = { idempotency: { key: 'by-hand' } };
    const again = (): Promise<unknown> => client.mutate({ mutation: BARE_PAY, context });
    expect(await failureOf(again())).toMatchObject({ reason: 'attempts', key: 'by-hand' });
    expect(await failureOf(again())).toMatchObject({ reason: 'refused', key: 'by-hand' });
    expect(await again()).toMatchObject({ data: { pay: { id: '1' } } });
    expect(asked.map(({ key }) => key)).toEqual(Array(3).fill('by-hand'));
  });
});

describe('a mutation without a key', () => {
  test('is sent once', async () => {
    const { fetch, asked } = scriptedFetch(lost, paid);
    const client = clientOf(retryLink(FAST), new HttpLink({ uri: 'http://shop/graphql', fetch }));
    expect(await failureOf(pay(client))).toEqual(new TypeError('fetch failed'));
    expect(asked).toHaveLength(1);
  });

  test('is what retryLink sees when it is above idempotencyLink, so there is no second key', async () => {
    const { fetch, asked } = scriptedFetch(lost, paid);
    const http = new HttpLink({ uri: 'http://shop/graphql', fetch });
    await failureOf(pay(clientOf(retryLink(FAST), idempotencyLink(), http)));
    expect(asked).toHaveLength(1);
  });

  test('is one whose key is only named in the context, and put nowhere', async () => {
    const { fetch, asked } = scriptedFetch(lost, paid);
    const client = clientOf(retryLink(FAST), new HttpLink({ uri: 'http://shop/graphql', fetch }));
    const context = { idempotency: { key: 'named' } };
    await failureOf(client.mutate({ mutation: BARE_PAY, context }));
    expect(asked.map(({ key }) => key)).toEqual([null]);
  });

  test('has one where somebody else put it', async () => {
    const { fetch, asked } = scriptedFetch(lost, paid);
    const client = clientOf(retryLink(FAST), new HttpLink({ uri: 'http://shop/graphql', fetch }));
    const context = { headers: { 'Idempotency-Key': 'by-hand-only' } };
    await client.mutate({ mutation: BARE_PAY, context });
    expect(asked.map(({ key }) => key)).toEqual(['by-hand-only', 'by-hand-only']);
  });

  test('is what a text with the word "query" in it may be', async () => {
    const { fetch, asked } = scriptedFetch(lost, paid);
    const client = clientOf(retryLink(FAST), new HttpLink({ uri: 'http://shop/graphql', fetch }));
    const mutation = gql`
      # query
      mutation query {
        query: pay(note: "query { ping }") {
          id
        }
      }
    `;
    await failureOf(client.mutate({ mutation }));
    expect(asked).toHaveLength(1);
  });
});

test('a query named mutation gets no key, and is retried', async () => {
  const { fetch, asked } = scriptedFetch(lost, ponged);
  const query = gql`
    query mutation {
      ping
    }
  `;
  await clientOver(fetch).query({ query });
  expect(asked.map(({ key }) => key)).toEqual([null, null]);
});

describe('those who listen', () => {
  test('are told the key before the first attempt, each attempt as it is sent, and each retry', async () => {
    const log: unknown[] = [];
    const transport = scriptedFetch(lost, refused('IDEMPOTENCY_IN_PROGRESS', { status: 409 }), paid);
    const fetch: typeof globalThis.fetch = (...call) => {
      log.push('sent');
      return transport.fetch(...call);
    };
    const note =
      (who: string) =>
      ({ attempt, key, cause, received }: Retry): void => {
        log.push([
          who,
          attempt,
          key,
          cause instanceof Error ? `${cause.name}: ${cause.message}` : typeof received,
        ]);
      };
    await clientOver(fetch, { ...FAST, onRetry: note('link') }).mutate({
      mutation: BARE_PAY,
      context: {
        idempotency: {
          key: 'told',
          onKey: (key) => log.push(['key', key]),
          onAttempt: (attempt) => log.push(attempt),
          onRetry: note('call'),
        },
      },
    });
    const busy = expect.stringMatching(/409/);
    expect(log).toEqual([
      ['key', 'told'],
      1,
      'sent',
      ['link', 2, 'told', 'TypeError: fetch failed'],
      ['call', 2, 'told', 'TypeError: fetch failed'],
      2,
      'sent',
      ['link', 3, 'told', busy],
      ['call', 3, 'told', busy],
      3,
      'sent',
    ]);
  });

  test('cost nothing when they throw', async () => {
    const { fetch, asked } = scriptedFetch(lost, paid);
    const fail = (): never => {
      throw new Error('a mistake of the page');
    };
    const said = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const result = await clientOver(fetch, { ...FAST, onRetry: fail }).mutate({
      mutation: BARE_PAY,
      context: { idempotency: { onKey: fail, onAttempt: fail, onRetry: fail } },
    });
    expect(result.data).toMatchObject({ pay: { id: '1' } });
    expect(asked).toHaveLength(2);
    expect(said).toHaveBeenCalledTimes(5);
    said.mockRestore();
  });
});

describe('an exhausted budget', () => {
  const budget = new RetryBudget({ share: 0, minimumPerMinute: 0 });

  test('ends a mutation at once, and says so', async () => {
    const { fetch, asked } = scriptedFetch(lost, paid);
    const error = await failureOf(pay(clientOver(fetch, { budget })));
    expect(error).toMatchObject({ reason: 'budget', cause: new TypeError('fetch failed') });
    expect(String(error)).toMatch(/retry budget is exhausted.*the same key may be sent again/);
    expect(asked).toHaveLength(1);
  });

  test('ends a query at once, and says so', async () => {
    const { fetch, asked } = scriptedFetch(lost, ponged);
    const error = await failureOf(ping(clientOver(fetch, { budget })));
    expect(error).toMatchObject({ name: 'RetryBudgetExhaustedError', cause: new TypeError('fetch failed') });
    expect(asked).toHaveLength(1);
  });
});

test('an option that makes no sense is refused where the link is made', () => {
  expect(() => retryLink({ attempts: 0 })).toThrow(RangeError);
  expect(() => retryLink({ deadlineMs: 10, keyRetentionMs: 10 })).toThrow(RangeError);
});
