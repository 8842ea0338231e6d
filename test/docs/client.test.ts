/** The page about the client: its blocks send to a real server, over a network that loses answers. */

import type { ApolloClient, ApolloLink } from '@apollo/client';
import type { Client } from '@urql/core';
import type { GraphQLResolveInfo } from 'graphql';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { readRetryOptions } from '../../src/client/engine/retry-options.ts';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Service } from '../support/service.ts';
import { codeBlocks, readDocument, tableAfter } from './documents.ts';
import { writeModules } from './modules.ts';
import type { page as shopPage } from './shop-client.ts';

const document = 'docs/client.md';
const modules = writeModules();
const database = await createDatabase({ migrated: true });
const realFetch = globalThis.fetch;
let service: Service;
let page: typeof shopPage;
/** How many of the next answers are lost, and the keys of what was sent. */
let lost = 0;
const keys: (string | null)[] = [];

/** Whoever asks at the address of the page is led to the server; the request arrives, the answer may not. */
const unreliable: typeof fetch = async (_, init) => {
  const headers = new Headers(init?.headers);
  headers.set('authorization', 'Bearer alice');
  keys.push(headers.get('idempotency-key'));
  const response = await realFetch(service.url, { ...init, headers });
  if (lost === 0) return response;
  lost -= 1;
  throw new TypeError('fetch failed');
};

beforeAll(async () => {
  service = await startService({
    databaseUrl: database.url,
    typeDefs: 'extend type Mutation { charge(amountCents: Int!): Payment @idempotent }',
    resolvers: (idempotency) => ({
      Mutation: {
        async charge(_: unknown, args: { amountCents: number }, __: unknown, info: GraphQLResolveInfo) {
          const { rows } = await idempotency
            .current(info)
            .tx.query<{ id: number }>(
              'insert into payments (amount) values ($1) returning id::text, amount',
              [args.amountCents],
            );
          return rows[0];
        },
      },
    }),
  });
  // Not before: it reads the environment.
  vi.stubEnv('DATABASE_URL', database.url);
  ({ page } = await import('./shop-client.ts'));
  page.fetch = unreliable;
});

beforeEach(() => {
  vi.stubGlobal('fetch', unreliable);
  keys.length = 0;
  lost = 0;
  page.stored.clear();
});
afterEach(() => vi.unstubAllGlobals());

afterAll(async () => {
  await (await import('./prelude.ts')).idempotency.close();
  await service.stop();
  await database.drop();
  modules.remove();
  vi.unstubAllEnvs();
});

/** Runs what sends one payment while two answers are lost; tells what was given back. */
async function paysOnce<Answer>(pay: () => Promise<Answer>): Promise<Answer> {
  const before = (await service.payments()).length;
  lost = 2;
  const answer = await pay();
  expect(await service.payments()).toHaveLength(before + 1);
  expect(keys).toHaveLength(3);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(new Set(keys).size).toBe(1);
  return answer;
}

test('it opens with a whole Apollo client', () => {
  const [opening] = readDocument(document).split('\n```');
  expect(opening).toMatch(/^# [^\n]+\n\n(?:[^\n#]+\n)+$/);
  expect(codeBlocks(undefined, document)[0]).toMatchObject({ language: 'ts', name: 'apollo-client.ts' });
});

test('apollo-client.ts: a mutation whose answers are lost happens once', async () => {
  const { client } = await modules.load<{ client: ApolloClient }>('apollo-client.ts');
  const { CHARGE } = await import('./shop-client.ts');
  const { data, extensions } = await paysOnce(() =>
    client.mutate({ mutation: CHARGE, variables: { amountCents: 500 } }),
  );
  expect(data).toMatchObject({ charge: { id: expect.any(String) } });
  expect(extensions).toMatchObject({ idempotency: { charge: { outcome: 'replayed' } } });
});

test('guarded-mutations.ts: a mutation that is not named goes out without a key', async () => {
  const { link } = await modules.load<{ link: ApolloLink }>('guarded-mutations.ts');
  const { ApolloLink, execute, gql, Observable } = await import('@apollo/client');
  const { client } = await import('./shop-client.ts');
  const headers: unknown[] = [];
  const sending = ApolloLink.from([
    link,
    new ApolloLink((operation) => {
      headers.push(operation.getContext()['headers']);
      return new Observable((observer) => observer.complete());
    }),
  ]);
  for (const name of ['Charge', 'Rename']) {
    execute(sending, { query: gql(`mutation ${name} { a }`) }, { client }).subscribe({});
  }
  expect(headers).toEqual([{ 'idempotency-key': expect.any(String) }, undefined]);
});

test('unknown-outcome.ts: the key is kept when nobody answers, and any other error passes', async () => {
  const { pay } = await modules.load<{ pay: (cart: string) => Promise<string> }>('unknown-outcome.ts');
  expect(await pay('cart-1')).toBe('cart-1 is paid');
  lost = 3;
  keys.length = 0;
  expect(await pay('cart-2')).toMatch(/as soon as we know/);
  expect(page.kept.get('cart-2')).toBe(keys[0]);
  expect(page.kept.has('cart-1')).toBe(false);
  page.fetch = async () => Response.json({ errors: [{ message: 'Who are you?' }] }, { status: 401 });
  await expect(pay('cart-3')).rejects.toThrow(/401/);
  page.fetch = unreliable;
});

test('plain-fetch.ts: a mutation whose answers are lost happens once', async () => {
  type Charge = (url: string, user: string, amountCents: number) => Promise<unknown>;
  const { charge } = await modules.load<{ charge: Charge }>('plain-fetch.ts');
  const answer = await paysOnce(() => charge('http://localhost:4000/', 'alice', 500));
  expect(answer).toMatchObject({ data: { charge: { id: expect.any(String) } } });
});

test('stored-intents.ts: what nobody answered is sent again with its key, and told', async () => {
  const block = await modules.load<{ link: ApolloLink; afterLoading: () => Promise<void> }>(
    'stored-intents.ts',
  );
  const { ApolloClient, ApolloLink, HttpLink, InMemoryCache } = await import('@apollo/client');
  const { CHARGE } = await import('./shop-client.ts');
  const before = (await service.payments()).length;
  const link = ApolloLink.from([block.link, new HttpLink({ uri: 'http://localhost:4000/' })]);
  const leaving = new ApolloClient({ cache: new InMemoryCache(), link });
  lost = 1;
  const call = leaving.mutate({ mutation: CHARGE, variables: { amountCents: 700 } });
  await expect(call).rejects.toThrow('fetch failed');
  expect(page.stored.size).toBe(1);

  const printed = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  await block.afterLoading();
  expect(printed.mock.calls).toEqual([[`${keys[0]} is answered`]]);
  printed.mockRestore();
  expect(page.stored.size).toBe(0);
  expect(await service.payments()).toHaveLength(before + 1);
});

test('urql-client.ts: a mutation whose answers are lost happens once', async () => {
  const { shop } = await modules.load<{ shop: Client }>('urql-client.ts');
  const mutation = 'mutation ($amountCents: Int!) { charge(amountCents: $amountCents) { id } }';
  const { data, error } = await paysOnce(() => shop.mutation(mutation, { amountCents: 500 }).toPromise());
  expect(error).toBeUndefined();
  expect(data).toMatchObject({ charge: { id: expect.any(String) } });
});

test('the table of retry options has those that there are, with their defaults', () => {
  const rows = tableAfter(readDocument(document), ['option', 'default', 'meaning']);
  const { budget: _, onRetry: __, ...numbers } = readRetryOptions({});
  expect(rows.map(([name, value]) => [name, value])).toEqual([
    ...Object.entries(numbers).map(([name, value]) => [`\`${name}\``, String(value)]),
    ['`budget`', 'one for the process'],
    ['`onRetry`', 'none'],
  ]);
});
