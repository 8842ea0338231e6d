/** An urql exchange that retries well: it puts the `fetch` that does so in the place of every operation's own. */

import { makeOperation, mapExchange } from '@urql/core';
import type { Exchange, Operation } from '@urql/core';
import type { FetchInit } from '../fetch/graphql-request.ts';
import { OutcomeUnknownError } from '../engine/outcome-unknown-error.ts';
import { idempotentFetch } from '../fetch/idempotent-fetch.ts';
import type { IdempotentFetch, IdempotentFetchOptions } from '../fetch/idempotent-fetch.ts';

type Fetch = typeof globalThis.fetch;

/** `context.idempotency` of an operation. */
export type IdempotencyContext = Pick<FetchInit, 'key' | 'intent' | 'onAttempt' | 'onRetry'>;

/**
 * Makes an exchange that gives every mutation a key and has it sent until there is an answer; queries are sent
 * again too. It belongs anywhere before `fetchExchange`, and sends by the `fetch` of the operation's context or of
 * the client, where there is one. A mutation's result comes once. Its `error.networkError` is an
 * `OutcomeUnknownError` where nobody knows whether it was executed; sent again with the same operation, it keeps
 * its key.
 *
 * @example
 * ```ts
 * const client = new Client({ url: '/graphql', exchanges: [cacheExchange, idempotencyExchange(), fetchExchange] });
 * const context = { idempotency: { intent: 'cart-17', onRetry: ({ delayMs }) => console.log(delayMs) } };
 * const { data, error } = await client.mutation(PAY, { amount: 5 }, context);
 * ```
 *
 * @throws RangeError for a retry option that makes no sense.
 */
export function idempotencyExchange(options: IdempotentFetchOptions = {}): Exchange {
  const byTransport = new WeakMap<Fetch, IdempotentFetch>();
  const byDefault = idempotentFetch(options);

  function over(transport: Fetch | undefined): IdempotentFetch {
    if (transport === undefined) return byDefault;
    const known = byTransport.get(transport) ?? idempotentFetch({ ...options, fetch: transport });
    byTransport.set(transport, known);
    return known;
  }

  return mapExchange({
    onOperation(operation) {
      const { context } = operation;
      // Other exchanges send a result's operation again: its retries must not be retried.
      if (context.fetch !== undefined && ours.has(context.fetch)) return operation;
      const fetch = fetchFor(operation, over(context.fetch));
      ours.add(fetch);
      return makeOperation(operation.kind, operation, { ...context, fetch });
    },
  });
}

const ours = new WeakSet<Fetch>();

function fetchFor({ context }: Operation, send: IdempotentFetch): Fetch {
  const { key: own, intent, onAttempt, onRetry } = (context['idempotency'] ?? {}) as IdempotencyContext;
  let key = own;
  return async (request, init) => {
    try {
      return await send(request, { ...init, key, intent, onAttempt, onRetry });
    } catch (error) {
      // The operation may be sent again, by the caller or by another exchange; it is still the same intent.
      if (error instanceof OutcomeUnknownError) key = error.key;
      throw error;
    }
  };
}
