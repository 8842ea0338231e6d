/** The form of `@idempotent` that schema authors write, as an object that coerces its arguments. */

import { GraphQLSchema, Kind, astFromValue, extendSchema, parse, print } from 'graphql';
import type { DefinitionNode, GraphQLArgument, GraphQLDirective } from 'graphql';
import { GraphQLDuration } from 'graphql-scalars';
import { ConfigurationError } from '../errors/configuration-error.ts';
import { clientDirective } from './client-directive.ts';
import { typeDefs } from './type-defs.ts';

/** Is read with instead of the schema's own copy, whose `Duration` may accept anything. */
export const authorDirective: GraphQLDirective = buildAuthorDirective();

/** Refuses a schema that calls something else `@idempotent`: reading it by our rules would guess. */
export function assertOwnDefinition(schema: GraphQLSchema): void {
  const definition = schema.getDirective(authorDirective.name);
  if (definition === undefined || definition === null) return;
  const form = describeForm(definition);
  if (form === describeForm(authorDirective) || form === describeForm(clientDirective)) return;
  throw new ConfigurationError(
    '@idempotent: the schema defines a directive of this name with other arguments or locations. ' +
      'Remove that definition and add the `typeDefs` of graphql-idempotency to the type definitions.',
  );
}

function buildAuthorDirective(): GraphQLDirective {
  const document = parse(typeDefs);
  const schema = extendSchema(new GraphQLSchema({ types: [GraphQLDuration] }), {
    ...document,
    definitions: document.definitions.filter((definition) => !isDuration(definition)),
  });
  const directive = schema.getDirective('idempotent');
  if (directive === undefined || directive === null) {
    throw new ConfigurationError('schema/idempotent.graphql: defines no directive @idempotent.');
  }
  return directive;
}

function isDuration(definition: DefinitionNode): boolean {
  return definition.kind === Kind.SCALAR_TYPE_DEFINITION && definition.name.value === GraphQLDuration.name;
}

/** Descriptions are left out: tools reformat them. */
function describeForm(directive: GraphQLDirective): string {
  const args = directive.args.map(describeArgument).toSorted();
  const locations = directive.locations.toSorted();
  return JSON.stringify([args, locations, directive.isRepeatable]);
}

function describeArgument(arg: GraphQLArgument): string {
  const literal = arg.defaultValue === undefined ? undefined : astFromValue(arg.defaultValue, arg.type);
  const suffix = literal === undefined || literal === null ? '' : ` = ${print(literal)}`;
  return `${arg.name}: ${String(arg.type)}${suffix}`;
}
