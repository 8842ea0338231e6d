/** Every place and every way in which a rule may not be written stops the server, naming the coordinate. */

import { makeExecutableSchema } from '@graphql-tools/schema';
import {
  GraphQLEnumType,
  GraphQLInputObjectType,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  buildSchema,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { applyGuard } from '../../src/directive/apply-guard.ts';
import type { FieldRule } from '../../src/directive/field-rule.ts';
import { typeDefs } from '../../src/directive/type-defs.ts';
import { ConfigurationError } from '../../src/errors/configuration-error.ts';

function apply(schema: GraphQLSchema): ReadonlyMap<string, FieldRule> {
  return applyGuard(schema, {
    owner: {},
    describe: true,
    minTtl: { transactionMs: 30_000, leaseMs: 30_000 },
    wrap: (_field, resolve) => resolve,
  });
}

/** The SDL is assumed valid, as tools that merge or generate it do. */
function messageFor(sdl: string): string {
  return messageOf(() => apply(buildSchema(`${typeDefs}\n${sdl}`, { assumeValidSDL: true })));
}

function messageOf(refused: () => unknown): string {
  try {
    refused();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message;
  }
  throw new Error('The schema was accepted.');
}

const plain = 'type Query { q: Int } type Mutation { m(a: Int): Int }';

describe('@idempotent in SDL', () => {
  test.each([
    ['a query field', 'type Query { q: Int @idempotent }', 'Query.q'],
    ['a subscription field', `${plain} type Subscription { s: Int @idempotent }`, 'Subscription.s'],
    ['a field of an extension', `${plain} extend type Query { more: Int @idempotent }`, 'Query.more'],
    [
      'a nested field',
      'type Query { q: Int } type Mutation { m: Payload } type Payload { id: ID @idempotent }',
      'Payload.id',
    ],
    ['an interface field', `${plain} interface Node { id: ID @idempotent }`, 'Node.id'],
    ['an input field', `${plain} input In { id: ID @idempotent }`, 'In.id'],
    ['an argument', 'type Query { q: Int } type Mutation { m(a: Int @idempotent): Int }', 'Mutation.m(a:)'],
    ['an argument of a query', 'type Query { q(a: Int @idempotent): Int }', 'Query.q(a:)'],
    ['an enum value', `${plain} enum E { A @idempotent }`, 'E.A'],
    ['an enum', `${plain} enum E @idempotent { A }`, 'E'],
    ['a scalar', `${plain} scalar S @idempotent`, 'S'],
    ['a union', `${plain} type A { a: Int } union U @idempotent = A`, 'U'],
    ['an input type', `${plain} input In @idempotent { id: ID }`, 'In'],
    ['the mutation root type', 'type Query { q: Int } type Mutation @idempotent { m: Int }', 'Mutation'],
    ['an extension of a type', `${plain} extend type Mutation @idempotent`, 'Mutation'],
    ['the schema', `${plain} schema @idempotent { query: Query mutation: Mutation }`, 'schema'],
    ['an argument of a directive', `${plain} directive @d(a: Int @idempotent) on FIELD`, '@d(a:)'],
  ])('on %s is refused', (_place, sdl, coordinate) => {
    expect(messageFor(sdl)).toMatch(
      `${coordinate}: @idempotent may stand only on fields of the mutation root type`,
    );
  });

  test('on a query field is refused in a schema that its tool has validated', () => {
    const schema = makeExecutableSchema({
      typeDefs: [typeDefs, plain, 'extend type Query { p: Int @idempotent }'],
    });
    expect(messageOf(() => apply(schema))).toMatch(/^Query\.p: /);
  });
});

describe('extensions.idempotent', () => {
  const marked = { extensions: { idempotent: true } };
  const query = new GraphQLObjectType({ name: 'Query', fields: { q: { type: GraphQLString } } });

  test.each<[string, () => GraphQLSchema, string]>([
    [
      'a query field',
      () =>
        new GraphQLSchema({
          query: new GraphQLObjectType({ name: 'Query', fields: { q: { type: GraphQLString, ...marked } } }),
        }),
      'Query.q',
    ],
    [
      'a nested field',
      () => {
        const payload = new GraphQLObjectType({
          name: 'Payload',
          fields: { id: { type: GraphQLString, ...marked } },
        });
        return new GraphQLSchema({
          query,
          mutation: new GraphQLObjectType({ name: 'Mutation', fields: { m: { type: payload } } }),
        });
      },
      'Payload.id',
    ],
    [
      'an argument',
      () =>
        new GraphQLSchema({
          query,
          mutation: new GraphQLObjectType({
            name: 'Mutation',
            fields: { m: { type: GraphQLString, args: { a: { type: GraphQLString, ...marked } } } },
          }),
        }),
      'Mutation.m(a:)',
    ],
    [
      'an input field',
      () =>
        new GraphQLSchema({
          query,
          types: [
            new GraphQLInputObjectType({ name: 'In', fields: { id: { type: GraphQLString, ...marked } } }),
          ],
        }),
      'In.id',
    ],
    [
      'an enum value',
      () => new GraphQLSchema({ query, types: [new GraphQLEnumType({ name: 'E', values: { A: marked } })] }),
      'E.A',
    ],
    [
      'a type',
      () =>
        new GraphQLSchema({
          query,
          mutation: new GraphQLObjectType({
            name: 'Mutation',
            fields: { m: { type: GraphQLString } },
            ...marked,
          }),
        }),
      'Mutation',
    ],
  ])('on %s is refused', (_place, build, coordinate) => {
    expect(messageOf(() => apply(build()))).toMatch(
      `${coordinate}: extensions.idempotent may stand only on fields of the mutation root type`,
    );
  });
});

describe('a mutation root type', () => {
  const pay = 'type Mutation { pay: Int @idempotent }';

  test.each([
    ['query', 'schema { query: Mutation mutation: Mutation }'],
    ['subscription', 'schema { query: Query mutation: Mutation subscription: Mutation }'],
  ])('that is the %s root type as well is refused', (operation, roots) => {
    expect(messageFor(`type Query { q: Int } ${pay} ${roots}`)).toMatch(
      `Mutation: is the root type of mutations and the ${operation} root type as well`,
    );
  });

  test.each([
    ['itself', 'type Query { again: [Mutation!]! }'],
    ['in a union', 'type Query { again: U } union U = Mutation'],
  ])('with guarded fields that a field can return (%s) is refused', (_how, more) => {
    expect(messageFor(`${pay} ${more}`)).toMatch(/^Query\.again: can return Mutation, whose guarded fields/);
  });

  test('without guarded fields may be returned by a field', () => {
    const sdl = 'type Query { again: Mutation } type Mutation { m: Int }';
    expect(apply(buildSchema(sdl)).size).toBe(0);
  });
});

describe('a directive named @idempotent that is not ours', () => {
  test.each([
    ['other arguments', 'directive @idempotent(header: String) on FIELD_DEFINITION'],
    ['other locations', 'directive @idempotent(key: String!) on FIELD | QUERY'],
    ['an optional key', 'directive @idempotent(key: String) on FIELD'],
  ])('with %s is refused', (_difference, definition) => {
    const schema = buildSchema(`${definition} ${plain}`);
    expect(messageOf(() => apply(schema))).toMatch(
      /^@idempotent: the schema defines a directive of this name with other arguments/,
    );
  });

  test('with another default is refused, because it would be read with ours', () => {
    const changed = typeDefs.replace('required: Boolean! = true', 'required: Boolean! = false');
    expect(changed).not.toBe(typeDefs);
    expect(messageOf(() => apply(buildSchema(`${changed} ${plain}`)))).toMatch(/^@idempotent: /);
  });

  test('but has our form is taken for ours', () => {
    const schema = buildSchema(`directive @idempotent(key: String!) on FIELD ${plain}`);
    expect(apply(schema).size).toBe(0);
  });
});
