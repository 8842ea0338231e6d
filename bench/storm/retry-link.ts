/** Apollo's own RetryLink with its defaults, over a link that asks the storm's server. */

import { ApolloClient, ApolloLink, InMemoryCache, gql } from '@apollo/client';
import { ServerError } from '@apollo/client/errors';
import { RetryLink } from '@apollo/client/link/retry';
import { Observable } from 'rxjs';
import type { StormServer } from './server.ts';
import type { Strategy } from './strategy.ts';

const MUTATION = gql`
  mutation Pay($intent: Int!) {
    pay(intent: $intent)
  }
`;

/** What Apollo's HTTP link makes of a 503, and of a connection that breaks. */
const REFUSED = new ServerError('Response not successful: Received status code 503', {
  response: new Response(null, { status: 503 }),
  bodyText: '',
});
const LOST = new TypeError('fetch failed');

export const retryLink: Strategy = {
  name: "Apollo's RetryLink as it comes",
  hasBudget: false,
  createClient(server) {
    const link = ApolloLink.from([new RetryLink(), serverLink(server)]);
    // Links are handed the client that they work for.
    const client = new ApolloClient({ cache: new InMemoryCache(), link });
    return {
      begin: async (intent) =>
        new Promise((resolve) => {
          ApolloLink.execute(link, { query: MUTATION, variables: { intent } }, { client }).subscribe({
            complete: () => resolve(true),
            error: () => resolve(false),
          });
        }),
    };
  },
};

function serverLink(server: Pick<StormServer, 'receive'>): ApolloLink {
  return new ApolloLink(
    ({ variables }) =>
      new Observable((observer) => {
        server.receive({ intent: variables['intent'] as number, key: undefined }, (answer) => {
          if (answer !== 'done') {
            observer.error(answer === 'refused' ? REFUSED : LOST);
            return;
          }
          observer.next({ data: { pay: true } });
          observer.complete();
        });
      }),
  );
}
