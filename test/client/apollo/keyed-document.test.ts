/** What `@idempotent(key:)` is written on, in documents of all shapes; each result is valid for the server. */

import { ApolloClient, ApolloLink, InMemoryCache, Observable, gql } from '@apollo/client';
import type { DocumentNode } from '@apollo/client';
import { buildSchema, print, validate } from 'graphql';
import { lastValueFrom } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { idempotencyLink } from 'graphql-idempotency/client/apollo';

const schema = buildSchema(`
  directive @idempotent(key: String!) on FIELD
  type Query { ping: String mutation: String }
  type Payment { id: ID pay: Payment }
  type Mutation { pay(amount: Int, key: String): Payment refund(amount: Int): Payment }
`);
const client = new ApolloClient({ cache: new InMemoryCache(), link: ApolloLink.empty() });

interface Keyed {
  readonly text: string;
  readonly query: DocumentNode;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** What leaves the link; the key is `K`. */
async function keyed(query: DocumentNode, variables: Record<string, unknown> = {}): Promise<Keyed> {
  let left: ApolloLink.Operation | undefined;
  const end = new ApolloLink((operation) => {
    left = operation;
    return new Observable((observer) => observer.complete());
  });
  const link = ApolloLink.from([idempotencyLink({ keyIn: 'directive', newKey: () => 'K' }), end]);
  await lastValueFrom(ApolloLink.execute(link, { query, variables }, { client }), {
    defaultValue: undefined,
  });
  const { query: sent, variables: values } = left!;
  expect(validate(schema, sent).map(({ message }) => message)).toEqual([]);
  return { text: print(sent).replaceAll(/\s+/g, ' '), query: sent, variables: values };
}

describe('one root field', () => {
  test.each<readonly [string, string, string]>([
    [
      'gets the key itself',
      'mutation { pay { id } }',
      'mutation ($idempotencyKey: String!) { pay @idempotent(key: $idempotencyKey) { id } }',
    ],
    [
      'keeps its alias, its arguments and its other directives',
      'mutation Pay($n: Int) { mine: pay(amount: $n) @include(if: true) { id } }',
      'mutation Pay($n: Int, $idempotencyKey: String!) { mine: pay(amount: $n) @include(if: true) @idempotent(key: $idempotencyKey) { id } }',
    ],
    [
      'is found in an inline fragment, beside __typename',
      'mutation { __typename ... on Mutation { __typename ... { pay { id } } } }',
      'mutation ($idempotencyKey: String!) { __typename ... on Mutation { __typename ... { pay @idempotent(key: $idempotencyKey) { id } } } }',
    ],
    [
      'is found in a fragment of a fragment',
      'mutation { ...A } fragment A on Mutation { ...B } fragment B on Mutation { pay { id } }',
      'mutation ($idempotencyKey: String!) { ...A } fragment A on Mutation { ...B } fragment B on Mutation { pay @idempotent(key: $idempotencyKey) { id } }',
    ],
    [
      'has one key in all its places',
      'mutation { pay { id } ...A } fragment A on Mutation { pay { pay { id } } }',
      'mutation ($idempotencyKey: String!) { pay @idempotent(key: $idempotencyKey) { id } ...A } fragment A on Mutation { pay @idempotent(key: $idempotencyKey) { pay { id } } }',
    ],
  ])('%s', async (_, query, text) => {
    const { text: sent, variables } = await keyed(gql(query));
    expect(sent).toBe(text);
    expect(variables).toEqual({ idempotencyKey: 'K' });
  });

  test('leaves fields below the root alone, of the same name too', async () => {
    const { text } = await keyed(
      gql('mutation { pay { pay { ...P } } } fragment P on Payment { pay { id } }'),
    );
    expect(text.match(/@idempotent/g)).toHaveLength(1);
  });

  test('takes a name for its variable that nobody has', async () => {
    const query = gql(
      'mutation ($idempotencyKey: Int, $_idempotencyKey: String) { pay(amount: $idempotencyKey, key: $_idempotencyKey) { id } }',
    );
    const { variables } = await keyed(query, { idempotencyKey: 1, _idempotencyKey: 'a' });
    expect(variables).toEqual({ idempotencyKey: 1, _idempotencyKey: 'a', __idempotencyKey: 'K' });
  });
});

describe('several root fields', () => {
  const query = gql('mutation { a: pay { id } refund { id } ... { b: pay { id } } }');

  test('have a key each, which is derived from the one', async () => {
    const { variables, text } = await keyed(query);
    expect(variables).toEqual({ idempotencyKey: 'K:a', idempotencyKey2: 'K:refund', idempotencyKey3: 'K:b' });
    expect(text.match(/@idempotent/g)).toHaveLength(3);
  });

  test('that have keys partly get those that are missing', async () => {
    const { variables } = await keyed(
      gql('mutation { a: pay @idempotent(key: "own") { id } b: pay { id } c: pay { id } }'),
    );
    expect(variables).toEqual({ idempotencyKey: 'K:b', idempotencyKey2: 'K:c' });
  });
});

test('a shared document stays as it is, and is rewritten once', async () => {
  const query = gql('mutation { ...A } fragment A on Mutation { pay { id } }');
  const before = structuredClone(query);
  const [first, second] = [await keyed(query), await keyed(query)];
  expect(structuredClone(query)).toEqual(before);
  // Links below keep what they know of a document by its identity.
  expect(second.query).toBe(first.query);
});

test('of a document with several operations, only the one that runs is rewritten', async () => {
  const query = gql(`
    query mutation { ping mutation }
    mutation First { pay { id } }
    mutation Second { refund { ...P } }
    fragment P on Payment { id }
  `);
  const operation = operationOf(query, 'Second', { a: 1 });
  idempotencyLink({ keyIn: 'directive', newKey: () => 'K' }).request(
    operation,
    () => new Observable(() => {}),
  );
  expect(print(operation.query).match(/.*@idempotent.*/g)).toEqual([
    expect.stringContaining('refund @idempotent(key: $idempotencyKey)'),
  ]);
  expect(validate(schema, operation.query)).toEqual([]);
  expect(operation.variables).toEqual({ a: 1, idempotencyKey: 'K' });

  const asked = operationOf(query, 'mutation', {});
  idempotencyLink({ keyIn: 'directive' }).request(asked, () => new Observable(() => {}));
  expect(asked.query).toBe(query);
});

/** Apollo Client itself sends documents of one operation only; other senders over these links need not. */
function operationOf(
  query: DocumentNode,
  operationName: string,
  variables: Record<string, unknown>,
): ApolloLink.Operation {
  let context: Record<string, unknown> = {};
  const setContext = (next: object | ((before: object) => object)): void => {
    context = { ...context, ...(typeof next === 'function' ? next(context) : next) };
  };
  const getContext = (): object => context;
  return {
    query,
    operationName,
    variables,
    extensions: {},
    setContext,
    getContext,
  } as unknown as ApolloLink.Operation;
}
