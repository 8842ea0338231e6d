/** The Apollo client: the two links that make a mutation safe to retry, and what the timeline hears of them. */

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client';
import { createIntents, RetryBudget } from 'graphql-idempotency/client';
import type { Intents } from 'graphql-idempotency/client';
import { idempotencyLink, retryLink } from 'graphql-idempotency/client/apollo';
import { finalize } from 'rxjs';
import { timedFetch } from './timed-fetch.ts';
import { createTimeline } from './timeline.ts';
import type { Timeline } from './timeline.ts';

export interface Connection {
  readonly client: ApolloClient;
  readonly intents: Intents;
  readonly timeline: Timeline;
}

export function connect(user: string): Connection {
  const timeline = createTimeline();
  // A key is good for the user who made it: nobody sends again what somebody else began in this browser.
  const intents = createIntents({
    storage: localStorage,
    prefix: `idempotency:${encodeURIComponent(user)}:`,
  });
  const link = ApolloLink.from([
    idempotencyLink({ intents }),
    whenEnded(timeline.stopsWaiting),
    retryLink({
      // Slower than the defaults, so that the waits can be seen.
      baseDelayMs: 1000,
      maxDelayMs: 8000,
      attemptTimeoutMs: 10_000,
      // One person plays with the switches, and is no crowd; a minute of trouble would use up the default.
      budget: new RetryBudget({ minimumPerMinute: 60 }),
      onRetry: timeline.waits,
    }),
    new HttpLink({ uri: '/', headers: { authorization: `Bearer ${user}` }, fetch: timedFetch(timeline) }),
  ]);
  const client = new ApolloClient({
    link,
    cache: new InMemoryCache(),
    // The balance is asked for anew after each attempt, and not when an older question is retried.
    queryDeduplication: false,
  });
  return { client, intents, timeline };
}

/** Between the two links: here every attempt of an operation is one, and its key is known. */
function whenEnded(tell: (key: string) => void): ApolloLink {
  return new ApolloLink((operation, forward) => {
    const key = operation.getContext().idempotency?.key;
    return forward(operation).pipe(
      finalize(() => {
        if (key !== undefined) tell(key);
      }),
    );
  });
}
