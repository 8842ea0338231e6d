/** Small schemas, and fingerprints of arguments that are given as if coerced. */

import { GraphQLInt, GraphQLObjectType, GraphQLSchema, buildSchema } from 'graphql';
import type { GraphQLFieldConfigArgumentMap } from 'graphql';
import { fingerprintOf } from '../../src/fingerprint/fingerprint.ts';
import { argumentsOf, limits } from './calls.ts';

/** Builds a schema from everything but its query type. */
export function schemaOf(sdl: string): GraphQLSchema {
  return buildSchema(`type Query { a: Int } ${sdl}`);
}

/** Builds a schema with the one mutation `pay`, whose arguments are written in code. */
export function codeFirst(args: GraphQLFieldConfigArgumentMap): GraphQLSchema {
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { a: { type: GraphQLInt } } }),
    mutation: new GraphQLObjectType({ name: 'Mutation', fields: { pay: { type: GraphQLInt, args } } }),
  });
}

/** Returns the fingerprint of coerced arguments of a schema's first mutation. */
export function fingerprint(
  schema: GraphQLSchema,
  values: Record<string, unknown>,
  omit: readonly (readonly string[])[] = [],
): string {
  const args = argumentsOf(schema);
  return fingerprintOf({ coordinate: 'Mutation.pay', args, values, omit, limits }).toString('hex');
}
