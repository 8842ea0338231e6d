/** Which operation a document runs, held against graphql's own parser. */

import fc from 'fast-check';
import { Kind, getOperationAST, parse, visit } from 'graphql';
import { describe, expect, test } from 'vitest';
import { keyInDocument } from '../../../src/client/fetch/key-in-document.ts';
import { operationType } from '../../../src/client/fetch/operation-type.ts';

/** What graphql says; `undefined` where it runs nothing. */
function byParser(document: string, name?: string): string | undefined {
  return getOperationAST(parse(document), name)?.operation;
}

const MISLEADING = ['mutation', 'query', 'subscription', 'fragment', 'on', 'mutation M', '{', '}', '(', ')'];
const names = fc.constantFrom('A', 'B', 'query', 'mutation', 'subscription', 'fragment', 'input', '_1');
const text = fc.oneof(
  fc.constantFrom(...MISLEADING, '} mutation X {', '"', '#', '\\', '"""', '@', '$'),
  fc.string({ unit: 'grapheme-ascii', maxLength: 8 }),
);
const plainString = text.map((value) => JSON.stringify(value));
const blockString = text
  .filter((value) => !value.endsWith('\\') && !value.endsWith('"'))
  .map((value) => `"""${value.replaceAll('"""', '\\"""')}\n"""`);
const comment = text.map((value) => `#${value.replaceAll(/[\n\r]/g, ' ')}\n`);
const space = fc.oneof(fc.constantFrom(' ', '\n', ', ', '\t'), comment);

const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('1', '-2.5e3', 'true', 'null', 'ENUM', 'mutation', '$v'),
    plainString,
    blockString,
    fc.array(tie('value'), { maxLength: 2 }).map((items) => `[${items.join(' ')}]`),
    fc.array(fc.tuple(names, tie('value')), { maxLength: 2 }).map((fields) => {
      const inside = fields.map(([name, value]) => `${name}: ${value}`).join(' ');
      return `{${inside}}`;
    }),
  ),
}));
const constant = value.filter((text) => !text.includes('$v'));
const args = fc.tuple(names, value).map(([name, value]) => `(${name}: ${value})`);
const directive = fc.tuple(names, fc.option(args, { nil: '' })).map(([name, args]) => `@${name}${args}`);
const directives = fc.array(directive, { maxLength: 2 }).map((all) => all.join(' '));
const { selections } = fc.letrec((tie) => ({
  field: fc
    .tuple(
      names,
      fc.option(args, { nil: '' }),
      directives,
      fc.option(tie('selections'), { nil: '', depthSize: 'small' }),
    )
    .map((parts) => parts.join(' ')),
  selections: fc
    .tuple(
      fc.array(tie('field'), { minLength: 1, maxLength: 2 }),
      space,
      fc.constantFrom('', '...on A { b }', '...F'),
    )
    .map(([fields, space, spread]) => `{${space}${fields.join(space)} ${spread}}`),
}));
const variables = constant.map((value) => `($v: [In!] = ${value}, $mutation: Int @d(x: "{"))`);
const operation = fc
  .tuple(
    fc.constantFrom('query', 'mutation', 'subscription'),
    fc.option(names, { nil: '' }),
    fc.option(variables, { nil: '' }),
    directives,
    selections,
    space,
  )
  .map(([type, name, variables, directives, selections, space]) =>
    [type, name, variables, directives, selections].join(space),
  );
const fragment = fc
  .tuple(names, names, directives, selections)
  .map(([name, on, directives, selections]) => `fragment ${name} on ${on} ${directives} ${selections}`);
const definitions = fc.array(fc.oneof(operation, fragment, selections.map(String)), {
  minLength: 1,
  maxLength: 4,
});
const document = fc
  .tuple(definitions, space, fc.option(names, { nil: undefined }))
  .map(([definitions, space, name]) => ({ text: space + definitions.join(space), name }));

test('says what the parser says, of every document and name', () => {
  const seen = new Map<string | undefined, number>();
  fc.assert(
    fc.property(document, ({ text, name }) => {
      const expected = byParser(text, name);
      seen.set(expected, (seen.get(expected) ?? 0) + 1);
      expect(operationType(text, name)).toBe(expected);
    }),
    { numRuns: 2000 },
  );
  for (const type of ['query', 'mutation', 'subscription', undefined])
    expect(seen.get(type)).toBeGreaterThan(30);
});

describe('by hand', () => {
  test.each([
    ['{ a }', 'query'],
    ['query { a }', 'query'],
    ['mutation($a: In = {b: {c: "}"}}) { a }', 'mutation'],
    ['# mutation { a }\n{ a }', 'query'],
    ['query { a(x: "} mutation { a") }', 'query'],
    ['query { a(x: """} mutation { a \\""" {""") }', 'query'],
    ['query mutation { mutation }', 'query'],
    ['fragment mutation on query { a } subscription { a }', 'subscription'],
    ['"""mutation""" query Q { a }', 'query'],
    ['', undefined],
    ['type Query { a: Int }', undefined],
    ['shoes', undefined],
    ['query A { a } mutation B { b }', undefined],
  ])('%s', (text, type) => {
    expect(operationType(text)).toBe(type);
  });

  test('of several operations the one that is named', () => {
    const text = 'query A { a } mutation B { b } subscription C { c } fragment D on D { d }';
    expect(['A', 'B', 'C', 'D', 'b'].map((name) => operationType(text, name))).toEqual([
      'query',
      'mutation',
      'subscription',
      undefined,
      undefined,
    ]);
    expect(operationType('mutation B { b }', null)).toBe('mutation');
  });
});

describe('a key in the document', () => {
  /** The first `@idempotent(key:)` that the parser sees. */
  function byParserKey(text: string, variables: Readonly<Record<string, unknown>>): unknown {
    let found: unknown;
    visit(parse(text), {
      Directive(node) {
        const key = node.name.value === 'idempotent' ? node.arguments?.[0]?.value : undefined;
        if (key?.kind === Kind.STRING) found ??= key.value;
        if (key?.kind === Kind.VARIABLE) found ??= variables[key.name.value];
      },
    });
    return found;
  }
  const variables = { k: 'from a variable' };
  const carrier = fc
    .tuple(
      plainString.filter((text) => !text.includes('\\')),
      fc.boolean(),
      space,
      value,
    )
    .map(([literal, byVariable, space, value]) => {
      const key = byVariable ? '$k' : literal;
      return `mutation M {${space}a(x: ${value}) b @idempotent(${space}key${space}: ${key}) }`;
    });

  test('is the one that the parser sees', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          carrier.filter((text) => !text.includes('key#')),
          document.map(({ text }) => text),
        ),
        (query) => {
          expect(keyInDocument({ query, variables })).toBe(byParserKey(query, variables));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('is not read from strings, comments, or a variable without a text', () => {
    expect(keyInDocument({ query: 'mutation { a(x: "@idempotent(key: \\"b\\")") }' })).toBeUndefined();
    expect(keyInDocument({ query: '# @idempotent(key: "b")\nmutation { a }' })).toBeUndefined();
    expect(
      keyInDocument({ query: 'mutation { a @idempotent(key: $k) }', variables: { k: 1 } }),
    ).toBeUndefined();
    expect(keyInDocument({ query: 'mutation { a @idempotent(key: $k) }' })).toBeUndefined();
    expect(keyInDocument({})).toBeUndefined();
  });
});
