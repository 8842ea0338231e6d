/** What the blocks about the client take for granted: a page's Apollo Client, its storage, an operation. */

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import type { TypedDocumentNode } from '@apollo/client';
import { OutcomeUnknownError } from 'graphql-idempotency/client';
import { idempotencyLink, retryLink } from 'graphql-idempotency/client/apollo';

export { OutcomeUnknownError, idempotencyLink };

export const CHARGE: TypedDocumentNode<{ charge: { id: string } }, { amountCents: number }> = gql`
  mutation Charge($amountCents: Int!) {
    charge(amountCents: $amountCents) {
      id
    }
  }
`;

/** The page: what it sends with, and what the test reads. */
export const page = {
  fetch: globalThis.fetch,
  kept: new Map<string, string>(),
  stored: new Map<string, string>(),
};

export const client: ApolloClient = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.from([
    idempotencyLink(),
    retryLink({ baseDelayMs: 1, attempts: 3, budget: false }),
    new HttpLink({ uri: 'http://localhost:4000/', fetch: (...call) => page.fetch(...call) }),
  ]),
});

export function keepForLater(cart: string, key: string): void {
  page.kept.set(cart, key);
}

export const localStorage = {
  get length(): number {
    return page.stored.size;
  },
  key: (index: number): string | null => [...page.stored.keys()][index] ?? null,
  getItem: (id: string): string | null => page.stored.get(id) ?? null,
  setItem: (id: string, text: string): void => void page.stored.set(id, text),
  removeItem: (id: string): void => void page.stored.delete(id),
};
