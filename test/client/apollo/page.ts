/** A page: a client and intents of its own, over a storage that outlives it. */

import { HttpLink } from '@apollo/client';
import type { ApolloClient, ApolloLink } from '@apollo/client';
import { createIntents } from 'graphql-idempotency/client';
import type { Intents, IntentStorage } from 'graphql-idempotency/client';
import { idempotencyLink, retryLink } from 'graphql-idempotency/client/apollo';
import { BARE_PAY, FAST, clientOf } from './client.ts';
import type { Memory } from '../support/storages.ts';
import { answer } from './scripted-fetch.ts';

/** One attempt, and an error that says what it means. */
export const ONCE = { ...FAST, attempts: 1 } as const;

export interface Page {
  readonly intents: Intents;
  readonly client: ApolloClient;
}

export const http = (fetch: typeof globalThis.fetch): HttpLink =>
  new HttpLink({ uri: 'http://shop/graphql', fetch });

export function page(
  storage: Memory | IntentStorage,
  fetch: typeof globalThis.fetch,
  retries: ApolloLink[] = [retryLink(ONCE)],
): Page {
  const intents = createIntents({ storage });
  return { intents, client: clientOf(idempotencyLink({ intents }), ...retries, http(fetch)) };
}

/** The open intents, as they are stored. */
export const stored = ({ items }: Memory): { key: string; name?: string }[] =>
  [...items.values()].map((text) => JSON.parse(text));

export const pay = (
  client: ApolloClient,
  context: ApolloClient.MutateOptions['context'] = {},
): Promise<unknown> => client.mutate({ mutation: BARE_PAY, context });

/** What a user who is signed out gets. */
export const signedOut = answer('<html>Who are you?</html>', { status: 401, type: 'text/html' });
