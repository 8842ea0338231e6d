/** Apollo Client as an application has it, and the operations that most tests send. */

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { idempotencyLink, retryLink } from 'graphql-idempotency/client/apollo';
import type { RetryOptions } from 'graphql-idempotency/client';

export const PAY = gql`
  mutation Pay($amount: Int! = 100, $note: String) {
    pay(amount: $amount, note: $note) {
      id
      amount
    }
  }
`;
/** The same without a cache's needs: what a scripted transport answers. */
export const BARE_PAY = gql`
  mutation {
    pay {
      id
    }
  }
`;
export const PING = gql`
  query Ping {
    ping
  }
`;

/** Waits of next to nothing, and as many retries as there are attempts. */
export const FAST = { baseDelayMs: 1, maxDelayMs: 1, budget: false } as const satisfies RetryOptions;

export function clientOf(...links: ApolloLink[]): ApolloClient {
  return new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from(links),
    defaultOptions: { query: { fetchPolicy: 'no-cache' } },
  });
}

/** Both links over HTTP, in their right order. */
export function clientOver(fetch: typeof globalThis.fetch, options: RetryOptions = FAST): ApolloClient {
  return clientOf(idempotencyLink(), retryLink(options), new HttpLink({ uri: 'http://shop/graphql', fetch }));
}

/** What a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('It did not fail.');
}
