import fc from 'fast-check';
import { buildSchema } from 'graphql';
import { describe, expect, it } from 'vitest';
import { fingerprintOfOperation, fingerprintsOf } from './calls.ts';

const schema = buildSchema(`
  scalar JSON
  enum Kind { PLAIN GIFT RETURN }
  input Item {
    sku: ID!
    quantity: Int! = 1
    price: Float
    tags: [String]
    kind: Kind = PLAIN
    note: String = "none"
    meta: JSON
    parts: [Item!] = []
  }
  type Order { id: ID, item: String }
  type Query { a: Int }
  type Mutation {
    order(item: Item!, rush: Boolean! = false, grid: [[Int]], comment: String): Order
    cancel(item: Item!, rush: Boolean! = false, grid: [[Int]], comment: String): Order
  }
`);

const variables = { item: { sku: 'a', quantity: 2 }, rush: true };
const plain = fingerprintOfOperation(
  schema,
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
    expect(fingerprintOfOperation(schema, source, variables)).toBe(plain);
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
    expect(fingerprintOfOperation(schema, source)).not.toBe(plain);
  });

  it('writes an ID as a number or as a string', () => {
    const of = (sku: unknown): string =>
      fingerprintOfOperation(schema, 'mutation ($item: Item!) { order(item: $item) { id } }', {
        item: { sku },
      });
    expect(of(4)).toBe(of('4'));
    expect(fingerprintOfOperation(schema, 'mutation { order(item: { sku: 4 }) { id } }')).toBe(of('4'));
    expect(of('04')).not.toBe(of('4'));
  });

  it('writes a number in any notation', () => {
    const of = (price: string): string =>
      fingerprintOfOperation(schema, `mutation { order(item: { sku: "a", price: ${price} }) { id } }`);
    expect(new Set(['1', '1.0', '1e0', '10e-1', '1.00E+0'].map(of)).size).toBe(1);
    expect(of('-0')).toBe(of('0.0'));
    expect(of('1.5')).not.toBe(of('1'));
  });

  it('writes a list of one without its brackets', () => {
    const of = (args: string): string =>
      fingerprintOfOperation(schema, `mutation { order(item: { sku: "a" ${args} }) { id } }`);
    expect(of('tags: "x"')).toBe(of('tags: ["x"]'));
    expect(of('tags: null')).not.toBe(of('tags: [null]'));
    expect(of('parts: { sku: "b" }')).toBe(of('parts: [{ sku: "b", quantity: 1 }]'));
    const grid = (value: string): string =>
      fingerprintOfOperation(schema, `mutation { order(item: { sku: "a" }, grid: ${value}) { id } }`);
    expect(grid('1')).toBe(grid('[[1]]'));
    expect(grid('[[1], [2]]')).not.toBe(grid('[[1, 2]]'));
    expect(grid('[[], [1]]')).not.toBe(grid('[[1], []]'));
  });

  it('has a fingerprint for each of its fields', () => {
    const fingerprints = fingerprintsOf(
      schema,
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

interface Item {
  readonly sku: string;
  readonly quantity?: number;
  readonly price?: number | null;
  readonly tags?: readonly (string | null)[] | null;
  readonly kind?: string | null;
  readonly note?: string | null;
  readonly meta?: unknown;
  readonly parts?: readonly Item[] | null;
}

const text = fc.string({ unit: 'grapheme', maxLength: 8 });
const name = fc.stringMatching(/^[a-z]{1,4}$/);
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }),
    text,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(name, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;
const { item } = fc.letrec<{ item: Item }>((tie) => ({
  item: fc.record(
    {
      sku: text,
      quantity: fc.constantFrom(1, 2, 3),
      price: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
      tags: fc.option(fc.array(fc.option(fc.constantFrom('', 'a', 'b')), { maxLength: 3 })),
      kind: fc.option(fc.constantFrom('PLAIN', 'GIFT')),
      note: fc.option(fc.constantFrom('none', '', 'null')),
      meta: json,
      parts: fc.option(fc.array(tie('item'), { maxLength: 2 }), { depthSize: 'small' }),
    },
    { requiredKeys: ['sku'], noNullPrototype: true },
  ) as fc.Arbitrary<Item>,
}));

const byVariable = (value: unknown): string =>
  fingerprintOfOperation(schema, 'mutation ($item: Item!) { order(item: $item) { id } }', { item: value });
const byLiteral = (value: unknown): string =>
  fingerprintOfOperation(schema, `mutation { order(item: ${literal(value)}) { id } }`);
function byVariables(value: Item): string {
  const entries = Object.entries(value);
  const types = { ...itemTypes } as Readonly<Record<string, string>>;
  return fingerprintOfOperation(
    schema,
    `mutation (${entries.map(([field]) => `$${field}: ${types[field]}`).join(', ')}) {
      order(item: { ${entries.map(([field]) => `${field}: $${field}`).join(', ')} }) { id }
    }`,
    Object.fromEntries(entries),
  );
}

const itemTypes = {
  sku: 'ID!',
  quantity: 'Int!',
  price: 'Float',
  tags: '[String]',
  kind: 'Kind',
  note: 'String',
  meta: 'JSON',
  parts: '[Item!]',
};

function literal(value: unknown, field?: string): string {
  if (field === 'kind' && typeof value === 'string') return value;
  if (Array.isArray(value)) return `[${value.map((element) => literal(element)).join(' ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  // Inside `meta`, a key `kind` is no enum.
  const entries = Object.entries(value).map(
    ([key, entry]) => `${key}: ${literal(entry, 'sku' in value ? key : undefined)}`,
  );
  return `{ ${entries.join(', ')} }`;
}

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, entry]) => [key, reversed(entry)]),
  );
}

const defaults = { quantity: 1, kind: 'PLAIN', note: 'none', parts: [] };
const explicit = (value: Item): Item => ({
  ...defaults,
  ...value,
  ...(value.parts ? { parts: value.parts.map(explicit) } : {}),
});

/** What an item means, said independently of the code under test. */
function meaning(value: unknown): string {
  const sorted = (_key: string, entry: unknown): unknown =>
    typeof entry === 'object' && entry !== null && !Array.isArray(entry)
      ? Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1)))
      : entry;
  return JSON.stringify(value, sorted);
}

/** Every item that differs from the given one in one place. */
function neighbours(value: Item): Item[] {
  const changed: Item[] = [
    { ...value, sku: `${value.sku}x` },
    { ...value, quantity: (value.quantity ?? 1) + 1 },
  ];
  for (const field of ['price', 'tags', 'kind', 'note', 'parts', 'meta'] as const) {
    const { [field]: old, ...rest } = value;
    if (old !== undefined) changed.push(rest);
    changed.push({ ...value, [field]: null });
  }
  if (value.tags) {
    changed.push({ ...value, tags: [...value.tags, null] }, { ...value, tags: value.tags.toReversed() });
    changed.push({ ...value, tags: [...value.tags, ''] }, { ...value, tags: [value.tags.join('')] });
  }
  if (value.parts) changed.push({ ...value, parts: [...value.parts, { sku: '' }] });
  for (const [index, part] of value.parts?.entries() ?? []) {
    for (const other of neighbours(part)) changed.push({ ...value, parts: value.parts!.with(index, other) });
  }
  changed.push({ ...value, meta: [value.meta ?? 0] }, { ...value, meta: { m: value.meta ?? 0 } });
  return changed;
}

describe('any input', () => {
  it('has one fingerprint as literal, variable and variables, in any order, with defaults given or not', () => {
    fc.assert(
      fc.property(item, (value) => {
        const fingerprint = byVariable(value);
        expect(byVariable(reversed(value))).toBe(fingerprint);
        expect(byVariable(explicit(value))).toBe(fingerprint);
        expect(byVariables(value)).toBe(fingerprint);
        expect(byLiteral(value)).toBe(fingerprint);
        expect(byLiteral(reversed(explicit(value)))).toBe(fingerprint);
      }),
      { numRuns: 300 },
    );
  });

  it('has another fingerprint as soon as one value in it means something else', () => {
    fc.assert(
      fc.property(item, (value) => {
        const all = [value, ...neighbours(value)];
        const byMeaning = new Map(all.map((one) => [meaning(explicit(one)), one]));
        const fingerprints = new Set([...byMeaning.values()].map(byVariable));
        expect(fingerprints.size).toBe(byMeaning.size);
        expect(new Set(all.map(byVariable)).size).toBe(byMeaning.size);
      }),
      { numRuns: 100 },
    );
  });

  it('shares its fingerprint with no other input', () => {
    fc.assert(
      fc.property(item, item, (a, b) => {
        expect(byVariable(a) === byVariable(b)).toBe(meaning(explicit(a)) === meaning(explicit(b)));
      }),
      { numRuns: 300 },
    );
  });
});
