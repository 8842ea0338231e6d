/** Apollo's other links above, between and below: every one of them real, in front of a real server. */

import { createHash } from 'node:crypto';
import { HttpLink } from '@apollo/client';
import type { ApolloLink, DocumentNode } from '@apollo/client';
import { BatchHttpLink } from '@apollo/client/link/batch-http';
import { SetContextLink } from '@apollo/client/link/context';
import { ErrorLink } from '@apollo/client/link/error';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { RetryLink } from '@apollo/client/link/retry';
import { Kind } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createIntents, idempotentFetch } from 'graphql-idempotency/client';
import {
  idempotencyLink,
  isOutcomeUnknown,
  resumeIntents,
  retryLink,
} from 'graphql-idempotency/client/apollo';
import { FAST, PAY, PING, clientOf, failureOf } from './client.ts';
import { memory } from '../support/storages.ts';
import { startTroubledService } from './troubled-service.ts';
import type { TroubledService } from './troubled-service.ts';

let troubled: TroubledService;
beforeAll(async () => {
  troubled = await startTroubledService();
});
afterAll(() => troubled.stop());

const headers = { authorization: 'Bearer alice' };
const http = (options: HttpLink.Options = {}): HttpLink =>
  new HttpLink({ uri: troubled.url, headers, ...options });
const places = ['header', 'extensions', 'directive'] as const;

describe('BatchHttpLink', () => {
  const batching = (): BatchHttpLink => new BatchHttpLink({ uri: troubled.url, headers, batchInterval: 5 });

  test.each(['extensions', 'directive'] as const)(
    'sends two mutations in one request with a key each in the %s, and each is retried with its own',
    async (keyIn) => {
      await troubled.trouble('answer lost');
      const client = clientOf(idempotencyLink({ keyIn }), retryLink(FAST), batching());
      const pay = (amount: number) => client.mutate({ mutation: PAY, variables: { amount } });
      const paid = await Promise.all([pay(1), pay(2)]);
      expect(paid.map(({ data }) => (data as { pay: { amount: number } }).pay.amount)).toEqual([1, 2]);
      const [first, ...others] = troubled.requests.map(({ body }) => body as Sent[]);
      expect(first).toHaveLength(2);
      const keys = (sent: Sent[]): Map<unknown, unknown> =>
        new Map(
          sent.map(({ variables, extensions }) => [
            variables['amount'],
            keyIn === 'directive' ? variables['idempotencyKey'] : extensions?.idempotencyKey,
          ]),
        );
      expect(keys(others.flat())).toEqual(keys(first!));
      expect(new Set(keys(first!).values()).size).toBe(2);
      expect(await troubled.payments()).toBe(2);
    },
  );

  test('sends mutations with keys in the header one by one', async () => {
    await troubled.trouble('answer lost', 'answer lost');
    const client = clientOf(idempotencyLink(), retryLink(FAST), batching());
    await Promise.all([client.mutate({ mutation: PAY }), client.mutate({ mutation: PAY })]);
    expect(troubled.requests.map(({ body }) => (body as unknown[]).length)).toEqual([1, 1, 1, 1]);
    expect(await troubled.payments()).toBe(2);
  });

  interface Sent {
    readonly variables: Readonly<Record<string, unknown>>;
    readonly extensions?: { readonly idempotencyKey?: string };
  }
});

describe('PersistedQueryLink', () => {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const notSupported = {
    status: 200,
    body: { errors: [{ message: '', extensions: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' } }] },
  };

  test.each(places)('below retryLink keeps the key in the %s over its own second request', async (keyIn) => {
    for (const first of ['passes', notSupported] as const) {
      // The second of them is refused because the server has never met the hash, or knows no hashes.
      await troubled.trouble('request lost', first, 'answer lost');
      // A document of its own each time: the server remembers.
      const name = { kind: Kind.NAME, value: `Pay_${keyIn}_${first === 'passes'}` } as const;
      const mutation = {
        ...PAY,
        definitions: PAY.definitions.map((one) => ({ ...one, name })),
      } as DocumentNode;
      const persisted = new PersistedQueryLink({ sha256 });
      await clientOf(idempotencyLink({ keyIn }), retryLink(FAST), persisted, http()).mutate({ mutation });
      const keys = troubled.requests.map(
        ({ key, body }) => key ?? body.extensions?.idempotencyKey ?? body.variables.idempotencyKey,
      );
      expect(troubled.requests.map(({ body }) => 'query' in body)).toEqual([
        false,
        false,
        true,
        first === notSupported,
      ]);
      expect(new Set(keys)).toEqual(new Set([expect.any(String)]));
      expect(new Set(keys).size).toBe(1);
      expect(await troubled.payments()).toBe(1);
    }
  });
});

describe('ErrorLink', () => {
  const watching = (heard: unknown[]): ErrorLink => new ErrorLink(({ error }) => void heard.push(error));
  const busy = {
    status: 409,
    body: { errors: [{ message: '', extensions: { code: 'IDEMPOTENCY_IN_PROGRESS' } }] },
  };

  test('above hears nothing of what was retried, and below of each', async () => {
    await troubled.trouble('answer lost', busy);
    const [above, below]: [unknown[], unknown[]] = [[], []];
    const links = [watching(above), idempotencyLink(), retryLink(FAST), watching(below), http()];
    await clientOf(...links).mutate({ mutation: PAY });
    expect({ above: above.length, below: below.length }).toEqual({ above: 0, below: 2 });
    expect(await troubled.payments()).toBe(1);
  });

  test('above hears once that the outcome is unknown', async () => {
    await troubled.trouble('answer lost', 'answer lost');
    const heard: unknown[] = [];
    const client = clientOf(watching(heard), idempotencyLink(), retryLink({ ...FAST, attempts: 2 }), http());
    const error = await failureOf(client.mutate({ mutation: PAY }));
    expect(heard).toEqual([error]);
    expect(isOutcomeUnknown(error)).toBe(true);
  });

  test('that sends again itself, when somebody has signed in, does so with the same key', async () => {
    await troubled.trouble({ status: 401 }, 'answer lost');
    let bearer = 'nobody';
    const signIn = new ErrorLink(({ operation, forward }) => {
      if (bearer === 'alice') return undefined;
      bearer = 'alice';
      return forward(operation);
    });
    const auth = new SetContextLink(({ headers }) => ({
      headers: { ...headers, authorization: `Bearer ${bearer}` },
    }));
    await clientOf(idempotencyLink(), retryLink(FAST), signIn, auth, http()).mutate({ mutation: PAY });
    expect(new Set(troubled.requests.map(({ key }) => key)).size).toBe(1);
    expect(troubled.requests).toHaveLength(3);
    expect(await troubled.payments()).toBe(1);
  });
});

describe("Apollo's own RetryLink", () => {
  test('in the place of retryLink has one key for all attempts', async () => {
    for (const order of ['above', 'below'] as const) {
      for (const keyIn of places) {
        await troubled.trouble('answer lost', 'request lost');
        const retries = new RetryLink({ delay: { initial: 1 } });
        const keys = idempotencyLink({ keyIn, intents: createIntents({ storage: memory() }) });
        const links: ApolloLink[] = order === 'above' ? [retries, keys] : [keys, retries];
        await clientOf(...links, http()).mutate({ mutation: PAY });
        expect(troubled.requests).toHaveLength(3);
        expect(await troubled.payments()).toBe(1);
      }
    }
  });
});

describe('idempotentFetch below both links', () => {
  const client = () =>
    clientOf(
      idempotencyLink(),
      retryLink({ ...FAST, attempts: 3 }),
      http({ fetch: idempotentFetch({ ...FAST, attempts: 3 }) }),
    );

  test('does not multiply the retries of a mutation, which has one key', async () => {
    await troubled.trouble(...Array<'answer lost'>(20).fill('answer lost'));
    const error = await failureOf(client().mutate({ mutation: PAY }));
    expect(troubled.requests).toHaveLength(3);
    const [{ key } = { key: undefined }] = troubled.requests;
    expect(error).toMatchObject({ name: 'OutcomeUnknownError', key });
    expect(await troubled.payments()).toBe(1);
  });

  test('gets a mutation through', async () => {
    await troubled.trouble('answer lost', 'request lost');
    await client().mutate({ mutation: PAY });
    expect(troubled.requests).toHaveLength(3);
    expect(await troubled.payments()).toBe(1);
  });

  test('does not multiply the retries of a query', async () => {
    await troubled.trouble(...Array<'request lost'>(20).fill('request lost'));
    await failureOf(client().query({ query: PING }));
    expect(troubled.requests).toHaveLength(3);
    await troubled.trouble(...Array.from({ length: 20 }, () => ({ status: 503 })));
    await failureOf(client().query({ query: PING }));
    expect(troubled.requests).toHaveLength(3);
  });
});

describe('intents at a real server', () => {
  const page = (storage: ReturnType<typeof memory>, attempts: number) => {
    const intents = createIntents({ storage });
    return {
      intents,
      client: clientOf(idempotencyLink({ intents }), retryLink({ ...FAST, attempts }), http()),
    };
  };

  test('after a reload the same key gets the first answer again', async () => {
    const storage = memory();
    await troubled.trouble('answer lost');
    const error = await failureOf(
      page(storage, 1).client.mutate({ mutation: PAY, variables: { amount: 7 } }),
    );
    expect(error).toMatchObject({ reason: 'attempts' });
    const { intents, client } = page(storage, 1);
    const [resumed] = await resumeIntents(client, intents);
    expect(resumed).toMatchObject({
      kind: 'answered',
      answer: { data: { pay: { amount: 7 } }, extensions: { idempotency: { pay: { outcome: 'replayed' } } } },
    });
    expect(await troubled.payments()).toBe(1);
    expect(new Set(troubled.requests.map(({ key }) => key)).size).toBe(1);
    expect(storage.items.size).toBe(0);
  });

  test('two tabs that pay for one cart at once make one payment', async () => {
    for (let round = 0; round < 2; round += 1) {
      const storage = memory();
      await troubled.trouble('answer lost');
      const tabs = [page(storage, 8), page(storage, 8)];
      const paid = await Promise.all(
        tabs.map(({ client }) =>
          client.mutate({ mutation: PAY, context: { idempotency: { intent: `cart-${round}` } } }),
        ),
      );
      expect(paid[0]!.data).toEqual(paid[1]!.data);
      expect(new Set(troubled.requests.map(({ key }) => key)).size).toBe(1);
      expect(await troubled.payments()).toBe(1);
      expect(storage.items.size).toBe(0);
    }
  });
});
