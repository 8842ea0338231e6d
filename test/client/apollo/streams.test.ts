/** Links as links: what comes of a source that emits at once, several times, late, or not at all. */

import { ApolloClient, ApolloLink, InMemoryCache, gql } from '@apollo/client';
import type { Observable } from '@apollo/client';
import { lastValueFrom, take, tap, toArray } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { createIntents, OutcomeUnknownError } from 'graphql-idempotency/client';
import { idempotencyLink, retryLink } from 'graphql-idempotency/client/apollo';
import { deferred } from '../../support/signal.ts';
import { BARE_PAY, FAST, PING, clientOf, failureOf } from './client.ts';
import { memory } from '../support/storages.ts';
import { scriptedLink } from './scripted-link.ts';
import type { ScriptedLink } from './scripted-link.ts';

const client = new ApolloClient({ cache: new InMemoryCache(), link: ApolloLink.empty() });
const DONE = { data: { pay: { __typename: 'Payment', id: '1' } } };
const MORE = { data: { pay: { __typename: 'Payment', id: '2' } } };
const BUSY = { errors: [{ message: 'busy', extensions: { code: 'IDEMPOTENCY_IN_PROGRESS' } }] };

type Chain = (end: ScriptedLink) => ApolloLink;
const chains: readonly (readonly [string, Chain])[] = [
  ['retryLink', ({ link }) => ApolloLink.from([idempotencyLink(), retryLink(FAST), link])],
  [
    'intents',
    ({ link }) => ApolloLink.from([idempotencyLink({ intents: createIntents({ storage: memory() }) }), link]),
  ],
  [
    'both',
    ({ link }) => {
      const intents = createIntents({ storage: memory() });
      return ApolloLink.from([idempotencyLink({ intents }), retryLink(FAST), link]);
    },
  ],
];

function execute(link: ApolloLink, query = BARE_PAY): Observable<ApolloLink.Result> {
  return ApolloLink.execute(link, { query }, { client });
}

describe.each(chains)('with %s', (_, chainOf) => {
  test('everything after the first result is delivered, in order', async () => {
    const end = scriptedLink();
    const begun = deferred();
    const source = execute(chainOf(end)).pipe(tap(() => begun.resolve()));
    const all = lastValueFrom(source.pipe(toArray()));
    const { observer } = await end.arrival(1);
    observer.next(DONE);
    observer.next(MORE);
    await begun.promise;
    observer.next(DONE);
    observer.complete();
    expect(await all).toEqual([DONE, MORE, DONE]);
  });

  test('a source that emits everything at once is delivered whole', async () => {
    const end = scriptedLink(({ observer }) => {
      observer.next(DONE);
      observer.next(MORE);
      observer.complete();
    });
    expect(await lastValueFrom(execute(chainOf(end)).pipe(toArray()))).toEqual([DONE, MORE]);
    expect(end.arrivals).toHaveLength(1);
  });

  test('a failure after the first result is not retried', async () => {
    const end = scriptedLink(({ observer }) => {
      observer.next(DONE);
      observer.error(new TypeError('broken off'));
    });
    const results: ApolloLink.Result[] = [];
    const error = await new Promise((resolve) => {
      execute(chainOf(end)).subscribe({ next: (result) => results.push(result), error: resolve });
    });
    expect({ results, error }).toEqual({ results: [DONE], error: new TypeError('broken off') });
    expect(end.arrivals).toHaveLength(1);
  });

  test('whoever leaves at the first result leaves the source too', async () => {
    const end = scriptedLink();
    const first = lastValueFrom(execute(chainOf(end)).pipe(take(1)));
    const arrival = await end.arrival(1);
    arrival.observer.next(DONE);
    await first;
    expect(arrival.left).toBe(true);
  });

  test('whoever leaves later leaves the source too', async () => {
    const end = scriptedLink();
    const subscribed = await new Promise<{ unsubscribe(): void }>((resolve) => {
      const subscription = execute(chainOf(end)).subscribe(() => resolve(subscription));
      void end.arrival(1).then(({ observer }) => observer.next(DONE));
    });
    expect(end.arrivals[0]!.left).toBe(false);
    subscribed.unsubscribe();
    expect(end.arrivals[0]!.left).toBe(true);
  });
});

describe.each(chains.filter(([name]) => name !== 'intents'))('with %s', (_, chainOf) => {
  test('a source that completes without a result is asked again', async () => {
    const end = scriptedLink(({ observer }, number) => {
      if (number > 1) observer.next(DONE);
      observer.complete();
    });
    expect(await lastValueFrom(execute(chainOf(end)).pipe(toArray()))).toEqual([DONE]);
    expect(end.arrivals).toHaveLength(2);
  });

  test('nobody hears of results that are not the answer', async () => {
    const end = scriptedLink(({ observer }, number) => {
      observer.next(number < 3 ? BUSY : DONE);
      observer.next(MORE);
      observer.complete();
    });
    expect(await lastValueFrom(execute(chainOf(end)).pipe(toArray()))).toEqual([DONE, MORE]);
    expect(end.arrivals.map(({ left }) => left)).toEqual([true, true, true]);
  });
});

test('a mutation whose source always completes without a result ends unknown, with its key', async () => {
  const end = scriptedLink(({ observer }) => observer.complete());
  const link = ApolloLink.from([idempotencyLink(), retryLink({ ...FAST, attempts: 3 }), end.link]);
  const error = await failureOf(lastValueFrom(execute(link)));
  expect(error).toBeInstanceOf(OutcomeUnknownError);
  const { key } = error as OutcomeUnknownError;
  expect(end.arrivals.map(({ operation }) => operation.getContext()['headers']['idempotency-key'])).toEqual([
    key,
    key,
    key,
  ]);
});

test('a query ends with what its last attempt got', async () => {
  const busy = { errors: [{ message: 'later', extensions: { code: 'IDEMPOTENCY_STORE_UNAVAILABLE' } }] };
  const end = scriptedLink(({ observer }) => observer.next(busy));
  const link = ApolloLink.from([retryLink({ ...FAST, attempts: 2 }), end.link]);
  expect(await lastValueFrom(execute(link, PING).pipe(toArray()))).toEqual([busy]);
  expect(end.arrivals.map(({ left }) => left)).toEqual([true, true]);
});

test('what one attempt left in the context says nothing of the next', async () => {
  const refused = { errors: [{ message: 'no', extensions: { code: 'BAD_USER_INPUT' } }] };
  const end = scriptedLink(({ operation, observer }, number) => {
    if (number > 1) return observer.next(refused);
    operation.setContext({ response: new Response('', { status: 503 }) });
    observer.error(new TypeError('broken off'));
  });
  const link = ApolloLink.from([retryLink(FAST), end.link]);
  expect(await lastValueFrom(execute(link, PING).pipe(take(1)))).toEqual(refused);
  expect(end.arrivals).toHaveLength(2);
});

test('a subscription passes through, and is not asked again when it fails', async () => {
  const end = scriptedLink();
  const link = ApolloLink.from([idempotencyLink(), retryLink(FAST), end.link]);
  const query = gql`
    subscription {
      paid
    }
  `;
  const failure = failureOf(lastValueFrom(execute(link, query)));
  const { observer, operation } = await end.arrival(1);
  expect(operation.getContext()['headers']).toBeUndefined();
  observer.error(new TypeError('cut'));
  expect(await failure).toEqual(new TypeError('cut'));
  expect(end.arrivals).toHaveLength(1);
});

test('one mutate() settles once, however often it was sent', async () => {
  const end = scriptedLink(({ observer }, number) => {
    if (number < 3) observer.error(new TypeError('lost'));
    else observer.next(DONE);
    observer.complete();
  });
  const told: unknown[] = [];
  const watched = new ApolloLink((operation, forward) =>
    forward(operation).pipe(
      tap({
        next: (result) => told.push(result),
        error: (error: unknown) => told.push(error),
        complete: () => told.push('complete'),
      }),
    ),
  );
  const apollo = clientOf(watched, idempotencyLink(), retryLink(FAST), end.link);
  const { data } = await apollo.mutate({ mutation: BARE_PAY });
  expect(data).toEqual(DONE.data);
  expect(told).toEqual([DONE, 'complete']);
  expect(end.arrivals).toHaveLength(3);
});
