import { describe, expect, it } from 'vitest';
import { fingerprintOfOperation, fingerprintsOf } from './calls.ts';
import { orderSchema } from './order-schema.ts';

const variables = { item: { sku: 'a', quantity: 2 }, rush: true };
const plain = fingerprintOfOperation(
  orderSchema,
  'mutation { order(item: { sku: "a", quantity: 2 }, rush: true) { id } }',
);

describe('an operation that asks for the same', () => {
  it.each([
    ['whitespace, commas and comments', 'mutation{order(rush:true item:{quantity:2 sku:"a"}){id}} # again'],
    ['an operation name', 'mutation Again { order(item: { sku: "a", quantity: 2 }, rush: true) { id } }'],
    ['an alias', 'mutation { other: order(item: { sku: "a", quantity: 2 }, rush: true) { id } }'],
    [
      'another selection',
      'mutation { order(item: { sku: "a", quantity: 2 }, rush: true) { x: item __typename } }',
    ],
    ['the order of arguments', 'mutation { order(rush: true, item: { quantity: 2, sku: "a" }) { id } }'],
    [
      'a fragment',
      'mutation { ...F } fragment F on Mutation { order(item: { sku: "a", quantity: 2 }, rush: true) { id } }',
    ],
    [
      'an inline fragment',
      'mutation { ... on Mutation { order(item: { sku: "a", quantity: 2 }, rush: true) { id } } }',
    ],
    [
      'a merged selection',
      `mutation { order(item: { sku: "a", quantity: 2 }, rush: true) { id } ...F }
      fragment F on Mutation { order(item: { sku: "a", quantity: 2 }, rush: true) { item } }`,
    ],
    [
      'directives',
      'mutation { order(item: { sku: "a", quantity: 2 }, rush: true) @include(if: true) { id } }',
    ],
    [
      'explicit defaults',
      `mutation {
      order(item: { sku: "a", quantity: 2, kind: PLAIN, note: "none", parts: [] }, rush: true) { id } }`,
    ],
    ['block strings', 'mutation { order(item: { sku: """a""", quantity: 2 }, rush: true) { id } }'],
    ['escapes', String.raw`mutation { order(item: { sku: "\u0061", quantity: 2 }, rush: true) { id } }`],
    [
      'whole variables',
      'mutation ($item: Item!, $rush: Boolean!) { order(item: $item, rush: $rush) { id } }',
    ],
    [
      'other names of variables',
      'mutation ($item: Item!, $rush: Boolean = false) { order(item: $item, rush: $rush) { id } }',
    ],
    [
      'a nested variable',
      'mutation ($rush: Boolean!) { order(item: { sku: "a", quantity: 2 }, rush: $rush) { id } }',
    ],
    [
      'a variable of its own default',
      'mutation ($q: Int = 2) { order(item: { sku: "a", quantity: $q }, rush: true) { id } }',
    ],
    [
      'a variable that is not given',
      'mutation ($p: Float) { order(item: { sku: "a", quantity: 2, price: $p }, rush: true) { id } }',
    ],
  ])('has the same fingerprint in spite of %s', (_name, source) => {
    expect(fingerprintOfOperation(orderSchema, source, variables)).toBe(plain);
  });

  it.each([
    ['another field', 'mutation { cancel(item: { sku: "a", quantity: 2 }, rush: true) { id } }'],
    ['another number', 'mutation { order(item: { sku: "a", quantity: 3 }, rush: true) { id } }'],
    ['another string', 'mutation { order(item: { sku: "A", quantity: 2 }, rush: true) { id } }'],
    ['another boolean', 'mutation { order(item: { sku: "a", quantity: 2 }, rush: false) { id } }'],
    [
      'another enum value',
      'mutation { order(item: { sku: "a", quantity: 2, kind: GIFT }, rush: true) { id } }',
    ],
    [
      'null for a default',
      'mutation { order(item: { sku: "a", quantity: 2, kind: null }, rush: true) { id } }',
    ],
    [
      'null for an absent field',
      'mutation { order(item: { sku: "a", quantity: 2, price: null }, rush: true) { id } }',
    ],
    [
      'null for an absent argument',
      'mutation { order(item: { sku: "a", quantity: 2 }, rush: true, comment: null) { id } }',
    ],
    [
      'an empty string',
      'mutation { order(item: { sku: "a", quantity: 2 }, rush: true, comment: "") { id } }',
    ],
    ['an empty list', 'mutation { order(item: { sku: "a", quantity: 2, tags: [] }, rush: true) { id } }'],
  ])('has another fingerprint with %s', (_name, source) => {
    expect(fingerprintOfOperation(orderSchema, source)).not.toBe(plain);
  });

  it('writes an ID as a number or as a string', () => {
    const of = (sku: unknown): string =>
      fingerprintOfOperation(orderSchema, 'mutation ($item: Item!) { order(item: $item) { id } }', {
        item: { sku },
      });
    expect(of(4)).toBe(of('4'));
    expect(fingerprintOfOperation(orderSchema, 'mutation { order(item: { sku: 4 }) { id } }')).toBe(of('4'));
    expect(of('04')).not.toBe(of('4'));
  });

  it('writes a number in any notation', () => {
    const of = (price: string): string =>
      fingerprintOfOperation(orderSchema, `mutation { order(item: { sku: "a", price: ${price} }) { id } }`);
    expect(new Set(['1', '1.0', '1e0', '10e-1', '1.00E+0'].map(of)).size).toBe(1);
    expect(of('-0')).toBe(of('0.0'));
    expect(of('1.5')).not.toBe(of('1'));
  });

  it('writes a list of one without its brackets', () => {
    const of = (args: string): string =>
      fingerprintOfOperation(orderSchema, `mutation { order(item: { sku: "a" ${args} }) { id } }`);
    expect(of('tags: "x"')).toBe(of('tags: ["x"]'));
    expect(of('tags: null')).not.toBe(of('tags: [null]'));
    expect(of('parts: { sku: "b" }')).toBe(of('parts: [{ sku: "b", quantity: 1 }]'));
    const grid = (value: string): string =>
      fingerprintOfOperation(orderSchema, `mutation { order(item: { sku: "a" }, grid: ${value}) { id } }`);
    expect(grid('1')).toBe(grid('[[1]]'));
    expect(grid('[[1], [2]]')).not.toBe(grid('[[1, 2]]'));
    expect(grid('[[], [1]]')).not.toBe(grid('[[1], []]'));
  });

  it('has a fingerprint for each of its fields', () => {
    const fingerprints = fingerprintsOf(
      orderSchema,
      `mutation ($item: Item!) {
        first: order(item: $item, rush: true) { id }
        second: order(item: { sku: "b" }) { id }
        third: cancel(item: $item, rush: true) { id }
        skipped: order(item: $item) @skip(if: true) { id }
      }`,
      variables,
    );
    expect(Object.keys(fingerprints)).toEqual(['first', 'second', 'third']);
    expect(fingerprints['first']).toBe(plain);
    expect(new Set(Object.values(fingerprints)).size).toBe(3);
  });
});
