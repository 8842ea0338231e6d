/** The guard on schemas: what is wrapped, what is served, and what a second application does. */

import { makeExecutableSchema } from '@graphql-tools/schema';
import {
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  buildClientSchema,
  defaultFieldResolver,
  execute,
  getIntrospectionQuery,
  graphqlSync,
  lexicographicSortSchema,
  parse,
  printSchema,
  specifiedDirectives,
  validate,
  validateSchema,
} from 'graphql';
import type { GraphQLFieldResolver, IntrospectionQuery } from 'graphql';
import { GraphQLDuration } from 'graphql-scalars';
import { describe, expect, test } from 'vitest';
import { applyGuard } from '../../src/directive/apply-guard.ts';
import type { ApplyGuardOptions, WrapResolver } from '../../src/directive/apply-guard.ts';
import { typeDefs } from '../../src/directive/type-defs.ts';
import { ConfigurationError } from '../../src/errors/configuration-error.ts';

const sdl = /* GraphQL */ `
  type Query {
    hello: String
  }
  type Mutation {
    "Moves money."
    pay(cents: Int!): String @idempotent
    note(text: String): String @idempotent(required: false, ttl: "P2D")
    touch: String
  }
`;

const resolvers = {
  Query: { hello: () => 'world' },
  Mutation: {
    pay: (_: unknown, { cents }: { cents: number }) => `paid ${cents}`,
    note: () => 'noted',
  },
};

function sdlSchema(more = ''): GraphQLSchema {
  return makeExecutableSchema({ typeDefs: [typeDefs, sdl, more], resolvers });
}

function codeSchema(): GraphQLSchema {
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { hello: { type: GraphQLString } } }),
    mutation: mutationType(),
  });
}

function mutationType(): GraphQLObjectType {
  return new GraphQLObjectType({
    name: 'Mutation',
    fields: {
      pay: { type: GraphQLString, resolve: () => 'paid', extensions: { idempotent: true } },
      note: {
        type: GraphQLString,
        resolve: () => 'noted',
        extensions: { idempotent: { required: false, ttl: 'PT1H' } },
      },
      touch: { type: GraphQLString },
    },
  });
}

/** Options whose `wrap` counts calls by coordinate. */
function recording(
  options: Partial<ApplyGuardOptions> = {},
): ApplyGuardOptions & { readonly calls: string[] } {
  const calls: string[] = [];
  const wrap: WrapResolver =
    ({ coordinate, rule }, resolve): GraphQLFieldResolver<unknown, unknown> =>
    (...args) => {
      calls.push(`${coordinate} ${rule === undefined ? 'plain' : 'guarded'}`);
      return resolve(...args);
    };
  return {
    owner: {},
    describe: true,
    minTtl: { transactionMs: 30_000, leaseMs: 30_000 },
    wrap,
    calls,
    ...options,
  };
}

function run(schema: GraphQLSchema, source: string, rootValue?: unknown): unknown {
  return execute({ schema, document: parse(source), rootValue });
}

function introspect(schema: GraphQLSchema): GraphQLSchema {
  const { data, errors } = graphqlSync({ schema, source: getIntrospectionQuery() });
  expect(errors).toBeUndefined();
  return buildClientSchema(data as unknown as IntrospectionQuery);
}

const forms = [
  ['SDL-first', () => sdlSchema()],
  ['code-first', codeSchema],
] as const;

describe.each(forms)('a %s schema', (_form, build) => {
  test('yields the rules of its guarded fields by coordinate', () => {
    const rules = applyGuard(build(), recording());
    expect([...rules.keys()]).toEqual(['Mutation.pay', 'Mutation.note']);
    expect(rules.get('Mutation.pay')).toEqual({
      coordinate: 'Mutation.pay',
      mode: 'TRANSACTION',
      inFlight: 'REJECT',
      abandoned: 'REFUSE',
      required: true,
      ttlMs: undefined,
      keyArgument: undefined,
      ignore: [],
    });
    expect(rules.get('Mutation.note')?.required).toBe(false);
  });

  test('has every mutation root field wrapped, unguarded ones and those without a resolver too', () => {
    const schema = build();
    const options = recording();
    applyGuard(schema, options);
    const result = run(schema, 'mutation { touch note }', { touch: 'from the root value' });
    expect(result).toEqual({ data: { touch: 'from the root value', note: 'noted' } });
    expect(options.calls).toEqual(['Mutation.touch plain', 'Mutation.note guarded']);
  });

  test('leaves queries alone', () => {
    const schema = build();
    const before = schema.getQueryType()?.getFields()['hello']?.resolve;
    applyGuard(schema, recording());
    expect(schema.getQueryType()?.getFields()['hello']?.resolve).toBe(before);
  });

  test('shows clients their form of the directive and nothing of the author’s', () => {
    const schema = build();
    applyGuard(schema, recording());
    for (const served of [printSchema(schema), printSchema(introspect(schema))]) {
      expect(served).toContain('directive @idempotent(\n');
      expect(served).toMatch(/key: String!\n\) on FIELD\n/);
      expect(served.match(/directive @idempotent/g)).toHaveLength(1);
      expect(served).not.toMatch(/IdempotencyMode|InFlightPolicy|AbandonedPolicy|Duration|FIELD_DEFINITION/);
    }
    expect(schema.getType('IdempotencyMode')).toBeUndefined();
    expect(schema.getDirective('skip')?.name).toBe('skip');
    expect(validateSchema(schema)).toEqual([]);
  });

  test('validates client operations against the client form', () => {
    const schema = build();
    applyGuard(schema, recording());
    const messages = (source: string): string[] =>
      validate(schema, parse(source)).map((error) => error.message);
    expect(messages('mutation ($k: String!) { note @idempotent(key: $k) }')).toEqual([]);
    expect(messages('mutation { note @idempotent }')).toEqual([
      'Directive "@idempotent" argument "key" of type "String!" is required, but it was not provided.',
    ]);
    expect(messages('mutation { note @idempotent(key: 5) }')).toHaveLength(1);
    expect(messages('mutation { note @idempotent(key: "a", ttl: "PT1H") }')).toEqual([
      'Unknown argument "ttl" on directive "@idempotent".',
    ]);
    expect(messages('mutation @idempotent(key: "a") { note }')).toEqual([
      'Directive "@idempotent" may not be used on MUTATION.',
    ]);
  });

  test('says in the description of guarded fields that they take a key, and whether they must', () => {
    const schema = build();
    applyGuard(schema, recording());
    const fields = introspect(schema).getMutationType()!.getFields();
    expect(fields['pay']?.description).toMatch(/Requires an idempotency key: /);
    expect(fields['note']?.description).toMatch(/^Takes an idempotency key, which may be left out: /);
    expect(fields['touch']?.description ?? undefined).toBeUndefined();
  });

  test('keeps its descriptions where `describe` is off', () => {
    const schema = build();
    const before = schema.getMutationType()!.getFields()['pay']!.description;
    applyGuard(schema, recording({ describe: false }));
    expect(schema.getMutationType()!.getFields()['pay']!.description).toBe(before);
  });

  test('is changed once by an owner that applies twice', () => {
    const schema = build();
    const options = recording();
    const rules = applyGuard(schema, options);
    const printed = printSchema(schema);
    const resolve = schema.getMutationType()!.getFields()['note']!.resolve;
    expect(applyGuard(schema, options)).toBe(rules);
    expect(printSchema(schema)).toBe(printed);
    expect(schema.getMutationType()!.getFields()['note']!.resolve).toBe(resolve);
  });

  test('is refused to a second owner, and stays as it was', () => {
    const schema = build();
    applyGuard(schema, recording());
    const printed = printSchema(schema);
    expect(() => applyGuard(schema, recording())).toThrow(ConfigurationError);
    expect(() => applyGuard(schema, recording())).toThrow(/already guarded by another instance/);
    expect(printSchema(schema)).toBe(printed);
  });

  test.each([
    ['toConfig', (schema: GraphQLSchema) => new GraphQLSchema(schema.toConfig())],
    ['a sorted copy', lexicographicSortSchema],
  ])('copied after it was guarded (%s) is guarded once', (_copy, copy) => {
    const schema = build();
    const options = recording();
    applyGuard(schema, options);
    const description = schema.getMutationType()!.getFields()['pay']!.description;
    const copied = copy(schema);
    const rules = applyGuard(copied, options);
    expect([...rules.keys()].toSorted()).toEqual(['Mutation.note', 'Mutation.pay']);
    run(copied, 'mutation { note @idempotent(key: "k") }');
    expect(options.calls).toEqual(['Mutation.note guarded']);
    expect(copied.getMutationType()!.getFields()['pay']!.description).toBe(description);
    expect(printSchema(copied).match(/directive @idempotent/g)).toHaveLength(1);
    expect(() => applyGuard(copy(schema), recording())).toThrow(
      /^Mutation\.\w+: is already guarded by another instance/,
    );
  });
});

describe('a guarded field', () => {
  test('of a copy hands the copy’s own field to the guard', () => {
    const seen: unknown[] = [];
    const options = recording({
      wrap: ({ field }, resolve) => {
        seen.push(field);
        return (...args) => resolve(...args);
      },
    });
    const schema = sdlSchema();
    applyGuard(schema, options);
    const copy = lexicographicSortSchema(schema);
    applyGuard(copy, options);
    for (const guarded of [schema, copy]) {
      expect(seen.includes(guarded.getMutationType()!.getFields()['pay'])).toBe(true);
    }
    expect(seen).toHaveLength(6);
  });

  test('keeps the author’s arguments readable on its AST node', () => {
    const schema = sdlSchema();
    applyGuard(schema, recording());
    const directives = schema.getMutationType()!.getFields()['note']!.astNode!.directives!;
    expect(directives[0]!.arguments!.map((argument) => argument.name.value)).toEqual(['required', 'ttl']);
  });

  test('keeps its own description before the sentence', () => {
    const schema = sdlSchema();
    applyGuard(schema, recording());
    expect(schema.getMutationType()!.getFields()['pay']!.description).toMatch(
      /^Moves money\.\n\nRequires an idempotency key/,
    );
  });

  test('calls its resolver with all that it was called with', async () => {
    const schema = sdlSchema();
    applyGuard(schema, recording());
    expect(await run(schema, 'mutation { pay(cents: 7) @idempotent(key: "k") }')).toEqual({
      data: { pay: 'paid 7' },
    });
  });
});

describe('types that the author’s form brought', () => {
  test('stay where the user’s schema uses them', () => {
    const schema = makeExecutableSchema({
      typeDefs: [
        typeDefs,
        sdl,
        'scalar Duration extend type Query { wait(for: Duration): Duration } directive @slow(mode: InFlightPolicy) on FIELD',
      ],
      resolvers: [resolvers, { Duration: GraphQLDuration, Query: { wait: () => 'PT5M' } }],
    });
    const rules = applyGuard(schema, recording());
    expect(rules.get('Mutation.note')?.ttlMs).toBe(2 * 86_400_000);
    const served = printSchema(introspect(schema));
    expect(served).toMatch(/scalar Duration/);
    expect(served).toMatch(/enum InFlightPolicy/);
    expect(served).not.toMatch(/IdempotencyMode|AbandonedPolicy/);
    expect(run(schema, '{ wait(for: "PT1M") }')).toEqual({ data: { wait: 'PT5M' } });
    expect(run(schema, '{ wait(for: "soon") }')).toHaveProperty('errors');
  });

  test('that carry the same name in a code-first schema are left alone', () => {
    const own = new GraphQLObjectType({ name: 'Duration', fields: { ms: { type: GraphQLString } } });
    const schema = new GraphQLSchema({ ...codeSchema().toConfig(), types: [own] });
    applyGuard(schema, recording());
    expect(schema.getType('Duration')).toBe(own);
  });
});

describe('a schema', () => {
  test('without guarded fields, without the directive, gets no directive', () => {
    const schema = makeExecutableSchema({
      typeDefs: 'type Query { a: Int } type Mutation { touch: Int }',
    });
    const before = printSchema(schema);
    expect(applyGuard(schema, recording()).size).toBe(0);
    expect(printSchema(schema)).toBe(before);
  });

  test('without guarded fields, with the directive, serves the client form', () => {
    const schema = makeExecutableSchema({ typeDefs: [typeDefs, 'type Query { a: Int }'] });
    expect(applyGuard(schema, recording()).size).toBe(0);
    expect(printSchema(schema)).toMatch(/key: String!\n\) on FIELD\n/);
    expect(schema.getType('AbandonedPolicy')).toBeUndefined();
  });

  test('shares no array of directives with others that would change with it', () => {
    const directives = [...specifiedDirectives];
    const [one, other] = [0, 1].map(
      () =>
        new GraphQLSchema({ ...codeSchema().toConfig(), types: [], mutation: mutationType(), directives }),
    );
    applyGuard(one!, recording());
    expect(one!.getDirective('idempotent')).toBeDefined();
    expect(other!.getDirective('idempotent')).toBeUndefined();
    expect(directives).toEqual(specifiedDirectives);
  });

  test('around the same type objects as another is guarded once for both', () => {
    const mutation = mutationType();
    const config = codeSchema().toConfig();
    const [one, other] = [0, 1].map(() => new GraphQLSchema({ ...config, types: [], mutation }));
    const options = recording();
    applyGuard(one!, options);
    const rules = applyGuard(other!, options);
    expect(rules.size).toBe(2);
    run(other!, 'mutation { note }');
    expect(options.calls).toEqual(['Mutation.note guarded']);
    const third = new GraphQLSchema({ ...config, types: [], mutation });
    expect(() => applyGuard(third, recording())).toThrow(/^Mutation\.pay: is already guarded by another/);
  });

  test('whose field shares its plain resolver with another schema is guarded by itself', () => {
    const options = recording();
    applyGuard(sdlSchema(), recording());
    const schema = sdlSchema();
    expect(() => applyGuard(schema, options)).not.toThrow();
    run(schema, 'mutation { note }');
    expect(options.calls).toEqual(['Mutation.note guarded']);
  });

  test('that is refused stays as it was', () => {
    const schema = sdlSchema('extend type Query { q: String @idempotent }');
    const printed = printSchema(schema);
    const fields = schema.getMutationType()!.getFields();
    const before = Object.values(fields).map((field) => field.resolve);
    expect(() => applyGuard(schema, recording())).toThrow(ConfigurationError);
    expect(printSchema(schema)).toBe(printed);
    expect(Object.values(fields).map((field) => field.resolve)).toEqual(before);
    expect(before).not.toContain(defaultFieldResolver);
  });

  test('may name its root types as it likes', () => {
    const schema = makeExecutableSchema({
      typeDefs: [
        typeDefs,
        'schema { query: Q mutation: Commands } type Q { a: Int } type Commands { pay: Int @idempotent }',
      ],
    });
    expect([...applyGuard(schema, recording()).keys()]).toEqual(['Commands.pay']);
  });
});
