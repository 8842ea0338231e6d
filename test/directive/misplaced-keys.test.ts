/** Keys that would protect nothing are found wherever an operation hides them. */

import { buildSchema, parse } from 'graphql';
import type { DocumentNode, FragmentDefinitionNode, OperationDefinitionNode } from 'graphql';
import { describe, expect, test } from 'vitest';
import { applyGuard } from '../../src/directive/apply-guard.ts';
import { findUnsupportedKeys } from '../../src/directive/misplaced-keys.ts';
import { typeDefs } from '../../src/directive/type-defs.ts';

const schema = buildSchema(`${typeDefs}
  interface Commands { pay: Payment }
  type Query { me: User }
  type Mutation implements Commands { pay: Payment @idempotent, touch: Payment }
  type Subscription { paid: Payment }
  interface Node { id: ID }
  type User implements Node { id: ID, payments: [Payment!]! }
  type Payment implements Node { id: ID, by: User }
`);
const guarded = applyGuard(schema, {
  owner: {},
  describe: false,
  minTtl: { transactionMs: 0, leaseMs: 0 },
  wrap: (_field, resolve) => resolve,
});

function partsOf(document: DocumentNode): {
  operation: OperationDefinitionNode;
  fragments: Record<string, FragmentDefinitionNode>;
} {
  const operation = document.definitions.find((node) => node.kind === 'OperationDefinition')!;
  const fragments = document.definitions.filter((node) => node.kind === 'FragmentDefinition');
  return { operation, fragments: Object.fromEntries(fragments.map((node) => [node.name.value, node])) };
}

function find(source: string): readonly string[] {
  return findUnsupportedKeys(schema, partsOf(parse(source)), guarded);
}

const key = '@idempotent(key: "k")';

describe('a key is supported', () => {
  test.each([
    ['on a guarded field', `mutation { pay ${key} { id } }`],
    ['under an alias', `mutation { a: pay ${key} { id } b: pay ${key} { id } }`],
    ['in an inline fragment', `mutation { ... { ... on Mutation { pay ${key} { id } } } }`],
    [
      'in a fragment',
      `mutation { ...A } fragment A on Mutation { ...B } fragment B on Mutation { pay ${key} { id } }`,
    ],
    [
      'in a fragment on an interface of the root',
      `mutation { ...A } fragment A on Commands { pay ${key} { id } }`,
    ],
    ['nowhere', 'query { me { payments { by { id } } } __schema { types { name } } __typename }'],
  ])('%s', (_where, source) => {
    expect(find(source)).toEqual([]);
  });
});

describe('a key is unsupported', () => {
  test.each([
    ['on an unguarded mutation', `mutation { touch ${key} { id } }`, ['Mutation.touch']],
    ['on a nested field', `mutation { pay ${key} { id ${key} } }`, ['Payment.id']],
    ['deep in nested fields', `mutation { pay { by { payments ${key} { id } } } }`, ['User.payments']],
    [
      'below the root on a field that is guarded at the root',
      `mutation { pay { ... on Mutation { pay ${key} { id } } } }`,
      ['Mutation.pay'],
    ],
    ['on a query field', `query { me ${key} { id } }`, ['Query.me']],
    ['on a subscription field', `subscription { paid ${key} { id } }`, ['Subscription.paid']],
    ['on __typename', `mutation { __typename ${key} }`, ['Mutation.__typename']],
    ['within introspection', `{ __schema { types ${key} { name } } }`, ['types']],
    ['in a nested fragment', `mutation { pay { ...A } } fragment A on Payment { id ${key} }`, ['Payment.id']],
    ['in a nested inline fragment', `{ me { ... on Node { id ${key} } } }`, ['Node.id']],
    ['on a field that is skipped', `mutation { touch ${key} @skip(if: true) { id } }`, ['Mutation.touch']],
    [
      'in several places',
      `mutation { touch ${key} { id ${key} } pay { by { id ${key} } } other: touch ${key} { id } }`,
      ['Mutation.touch', 'Payment.id', 'User.id'],
    ],
    [
      'in a fragment that is spread at the root and below',
      `mutation { ...A pay { ...B } } fragment A on Mutation { touch { ...B } } fragment B on Payment { id ${key} }`,
      ['Payment.id'],
    ],
  ])('%s', (_where, source, expected) => {
    expect(find(source)).toEqual(expected);
  });
});

test('cycles of fragments end', () => {
  expect(
    find(
      `mutation { ...A } fragment A on Mutation { ...B touch ${key} { id } } fragment B on Mutation { ...A }`,
    ),
  ).toEqual(['Mutation.touch']);
  expect(find(`{ me { ...U } } fragment U on User { payments { by { ...U id ${key} } } }`)).toEqual([
    'User.id',
  ]);
});

test('a missing fragment is left to validation', () => {
  expect(find('mutation { ...Missing }')).toEqual([]);
});

test('fragments that double at every level cost as much as their text', () => {
  const levels = Array.from(
    { length: 60 },
    (_, level) => `fragment F${level} on User { ...F${level + 1} payments { by { ...F${level + 1} } } }`,
  );
  expect(find(`{ me { ...F0 } } ${levels.join(' ')} fragment F60 on User { id ${key} }`)).toEqual([
    'User.id',
  ]);
});

test('nesting of any depth is searched without recursion', () => {
  const leaf = partsOf(parse(`{ id ${key} }`)).operation.selectionSet;
  const by = partsOf(parse('{ by { id } }')).operation.selectionSet.selections[0]!;
  const payments = partsOf(parse('{ payments { id } }')).operation.selectionSet.selections[0]!;
  let selectionSet = leaf;
  for (let depth = 0; depth < 100_000; depth += 1) {
    selectionSet = {
      ...leaf,
      selections: [{ ...(depth % 2 === 0 ? by : payments), selectionSet } as typeof by],
    };
  }
  const { operation } = partsOf(parse('{ me { id } }'));
  const me = { ...operation.selectionSet.selections[0]!, selectionSet } as typeof by;
  const deep = { ...operation, selectionSet: { ...leaf, selections: [me] } };
  expect(findUnsupportedKeys(schema, { operation: deep, fragments: {} }, guarded)).toEqual(['User.id']);
});

test('the answer is found once for an operation, and again for other rules', () => {
  const parts = partsOf(parse(`mutation { pay ${key} { id } }`));
  const first = findUnsupportedKeys(schema, parts, guarded);
  expect(findUnsupportedKeys(schema, parts, guarded)).toBe(first);
  expect(first).toEqual([]);
  expect(findUnsupportedKeys(schema, parts, new Map())).toEqual(['Mutation.pay']);
});
