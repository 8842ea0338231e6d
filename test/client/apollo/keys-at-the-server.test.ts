/** Where the key goes, and what the server makes of it: one row, whatever happens on the way. */

import { ApolloLink, HttpLink, gql } from '@apollo/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { idempotencyLink, isOutcomeUnknown, retryLink } from 'graphql-idempotency/client/apollo';
import type { ApolloClient, DocumentNode } from '@apollo/client';
import { FAST, PAY, PING, clientOf, failureOf } from './client.ts';
import { startTroubledService } from './troubled-service.ts';
import type { TroubledService } from './troubled-service.ts';

let troubled: TroubledService;
beforeAll(async () => {
  troubled = await startTroubledService();
});
afterAll(() => troubled.stop());

type Place = 'header' | 'extensions' | 'directive';
const places: readonly Place[] = ['header', 'extensions', 'directive'];

function client(keyIn: Place = 'header', http: HttpLink.Options = {}): ApolloClient {
  const headers = { authorization: 'Bearer alice' };
  return clientOf(
    idempotencyLink({ keyIn }),
    retryLink(FAST),
    new HttpLink({ uri: troubled.url, headers, ...http }),
  );
}

/** Where a request can carry its key, one entry for each place. */
function keysOf({ requests }: TroubledService): Record<Place, unknown>[] {
  return requests.map(({ key, body }) => ({
    header: key,
    extensions: body.extensions?.idempotencyKey,
    directive: body.variables?.idempotencyKey,
  }));
}

describe.each(places)('a key in the %s', (keyIn) => {
  test('is the same over all retries, and makes one payment', async () => {
    await troubled.trouble('request lost', 'answer lost', { status: 502 }, 'answer lost');
    const { data } = await client(keyIn).mutate({ mutation: PAY });
    expect(data).toMatchObject({ pay: { amount: 100 } });
    const sent = keysOf(troubled);
    expect(sent).toHaveLength(5);
    expect(new Set(sent.map((keys) => keys[keyIn])).size).toBe(1);
    expect(sent[0]![keyIn]).toMatch(/^[0-9a-f-]{36}$/);
    // And it is in no other place.
    for (const other of places.filter((place) => place !== keyIn)) expect(sent[0]![other]).toBeUndefined();
    expect(await troubled.payments()).toBe(1);
  });

  test('is another one for the next mutation', async () => {
    await troubled.trouble();
    const apollo = client(keyIn);
    await Promise.all([apollo.mutate({ mutation: PAY }), apollo.mutate({ mutation: PAY })]);
    await apollo.mutate({ mutation: PAY });
    expect(new Set(keysOf(troubled).map((keys) => keys[keyIn])).size).toBe(3);
    expect(await troubled.payments()).toBe(3);
  });
});

test('a key in the extensions is sent where the link that sends was told to leave them out', async () => {
  await troubled.trouble('answer lost');
  await client('extensions', { includeExtensions: false }).mutate({ mutation: PAY });
  expect(new Set(keysOf(troubled).map(({ extensions }) => extensions)).size).toBe(1);
  expect(await troubled.payments()).toBe(1);
});

describe('a key that is there already is left alone', () => {
  const withDirective = (key: string): DocumentNode => gql`
    mutation ($key: String!) { pay(amount: 1) @idempotent(key: ${key}) { id } }`;
  const literal = gql`
    mutation {
      pay(amount: 1) @idempotent(key: "literal") {
        id
      }
    }
  `;

  test.each<readonly [string, string, Place, ApolloClient.MutateOptions]>([
    [
      'in a header of any case',
      'h',
      'header',
      { mutation: PAY, context: { headers: { 'IDEMPOTENCY-Key': 'h' } } },
    ],
    ['in the context', 'c', 'header', { mutation: PAY, context: { idempotency: { key: 'c' } } }],
    [
      'in a variable of the directive',
      'v',
      'directive',
      { mutation: withDirective('$key'), variables: { key: 'v' } },
    ],
    ['in the text of the directive', 'literal', 'directive', { mutation: literal }],
  ])('%s', async (_, key, place, options) => {
    for (const keyIn of place === 'header' && options.context?.idempotency ? (['header'] as const) : places) {
      await troubled.trouble('answer lost');
      const told: string[] = [];
      const { idempotency } = options.context ?? {};
      const context = {
        ...options.context,
        idempotency: { ...idempotency, onKey: (one: string) => told.push(one) },
      };
      await client(keyIn).mutate({ ...options, context } as ApolloClient.MutateOptions);
      expect(troubled.requests).toHaveLength(2);
      for (const request of troubled.requests) {
        expect(request.key).toBe(place === 'header' ? key : undefined);
        expect(request.body.extensions?.idempotencyKey).toBeUndefined();
        expect(request.body.variables).not.toHaveProperty('idempotencyKey');
      }
      expect(told).toEqual([key]);
    }
  });

  test('in the extensions, and it is sent where those would be left out', async () => {
    const giving = new ApolloLink((operation, forward) => {
      operation.extensions = { ...operation.extensions, idempotencyKey: 'own-extension', mine: 1 };
      return forward(operation);
    });
    for (const keyIn of places) {
      await troubled.trouble('answer lost');
      const headers = { authorization: 'Bearer alice' };
      const http = new HttpLink({ uri: troubled.url, headers, includeExtensions: false });
      await clientOf(giving, idempotencyLink({ keyIn }), retryLink(FAST), http).mutate({ mutation: PAY });
      expect(keysOf(troubled)).toEqual(Array.from({ length: 2 }, () => ({ extensions: 'own-extension' })));
      expect(troubled.requests[0]!.body.extensions.mine).toBe(1);
    }
  });

  test('on the only guarded field, beside a field that needs none', async () => {
    const mutation = gql`
      mutation ($key: String!) {
        pay(amount: 1) @idempotent(key: $key) {
          id
        }
        log
      }
    `;
    for (const keyIn of ['header', 'extensions'] as const) {
      await troubled.trouble();
      const { data } = await client(keyIn).mutate({
        mutation,
        variables: { key: `beside ${keyIn}`.replace(' ', '-') },
      });
      expect(data).toMatchObject({ pay: { __typename: 'Payment' }, log: 'logged' });
    }
  });

  test('on one of two places of the same field', async () => {
    const mutation = gql`
      mutation ($key: String!) {
        pay(amount: 1) @idempotent(key: $key) {
          id
        }
        ...More
      }
      fragment More on Mutation {
        pay(amount: 1) {
          amount
        }
      }
    `;
    for (const keyIn of places) {
      await troubled.trouble('answer lost');
      const { data } = await client(keyIn).mutate({ mutation, variables: { key: `merged-${keyIn}` } });
      expect(data).toMatchObject({ pay: { amount: 1 } });
      expect(troubled.requests).toHaveLength(2);
      expect(await troubled.payments()).toBe(1);
    }
  });
});

describe('several guarded fields', () => {
  const mutation = gql`
    mutation ($idempotencyKey: Int! = 3) {
      __typename
      one: pay(amount: $idempotencyKey) {
        id
      }
      ...Rest
      ... on Mutation {
        three: pay(amount: 3) {
          id
        }
      }
    }
    fragment Rest on Mutation {
      one: pay(amount: $idempotencyKey) {
        amount
      }
      two: pay(amount: 2) {
        id
      }
    }
  `;

  test('get a derived key each, the same for every retry', async () => {
    await troubled.trouble('request lost', 'answer lost');
    const { data } = await client('directive').mutate({ mutation });
    expect(data).toMatchObject({ one: { amount: 3 }, two: { __typename: 'Payment' }, three: {} });
    expect(await troubled.payments()).toBe(3);
    const [first, ...others] = troubled.requests.map(({ body }) => body.variables);
    expect(others).toEqual([first, first]);
    const { idempotencyKey, ...keys } = first as Record<string, unknown>;
    expect(idempotencyKey).toBe(3);
    expect(new Set(Object.values(keys)).size).toBe(3);
  });

  test('are refused with one key in the header, once and for good', async () => {
    await troubled.trouble();
    const error = await failureOf(client('header').mutate({ mutation }));
    expect(error).toMatchObject({ errors: [{ extensions: { code: 'IDEMPOTENCY_KEY_AMBIGUOUS' } }] });
    expect(isOutcomeUnknown(error)).toBe(false);
    expect(troubled.requests).toHaveLength(1);
    expect(await troubled.payments()).toBe(0);
  });
});

describe('what gets no key', () => {
  test('a query, but it is sent again', async () => {
    await troubled.trouble('request lost', 'answer lost');
    expect((await client().query({ query: PING })).data).toEqual({ ping: 'pong' });
    expect(keysOf(troubled)).toEqual([{}, {}, {}]);
  });

  test('a mutation that is not guarded, and it is sent once', async () => {
    await troubled.trouble('answer lost');
    const link = idempotencyLink({ guarded: ({ operationName }) => operationName !== 'Log' });
    const apollo = clientOf(link, retryLink(FAST), new HttpLink({ uri: troubled.url }));
    const mutation = gql`
      mutation Log {
        log
      }
    `;
    await expect(apollo.mutate({ mutation })).rejects.toThrow();
    expect(keysOf(troubled)).toEqual([{}]);
  });

  test('an unguarded mutation with a key of its own keeps it', async () => {
    await troubled.trouble('answer lost');
    const link = idempotencyLink({ guarded: () => false });
    const headers = { authorization: 'Bearer alice' };
    const apollo = clientOf(link, retryLink(FAST), new HttpLink({ uri: troubled.url, headers }));
    await apollo.mutate({ mutation: PAY, context: { idempotency: { key: 'own-unguarded' } } });
    expect(troubled.requests.map(({ key }) => key)).toEqual(['own-unguarded', 'own-unguarded']);
    expect(await troubled.payments()).toBe(1);
  });
});

describe('a key that was used for something else', () => {
  test.each(['application/json', 'application/graphql-response+json'])(
    'is refused once and for good, as %s',
    async (accept) => {
      await troubled.trouble();
      const context = {
        headers: { accept },
        idempotency: { key: `reused ${accept}`.replaceAll(/\W/g, '-') },
      };
      const apollo = client('header', { headers: { authorization: 'Bearer alice' } });
      await apollo.mutate({ mutation: PAY, context });
      const error = await failureOf(apollo.mutate({ mutation: PAY, variables: { amount: 5 }, context }));
      expect(troubled.requests).toHaveLength(2);
      expect(JSON.stringify(error)).toContain('IDEMPOTENCY_KEY_REUSED');
      expect(isOutcomeUnknown(error)).toBe(false);
    },
  );
});
