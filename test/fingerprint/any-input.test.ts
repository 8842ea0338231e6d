import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fingerprintOfOperation } from './calls.ts';
import { orderSchema } from './order-schema.ts';

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
  fingerprintOfOperation(orderSchema, 'mutation ($item: Item!) { order(item: $item) { id } }', {
    item: value,
  });
const byLiteral = (value: unknown): string =>
  fingerprintOfOperation(orderSchema, `mutation { order(item: ${literal(value)}) { id } }`);
function byVariables(value: Item): string {
  const entries = Object.entries(value);
  const types = { ...itemTypes } as Readonly<Record<string, string>>;
  return fingerprintOfOperation(
    orderSchema,
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
      { numRuns: 150 },
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
      { numRuns: 40 },
    );
  });

  it('shares its fingerprint with no other input', () => {
    fc.assert(
      fc.property(item, item, (a, b) => {
        expect(byVariable(a) === byVariable(b)).toBe(meaning(explicit(a)) === meaning(explicit(b)));
      }),
      { numRuns: 150 },
    );
  });
});
