/** Exchanges the form of `@idempotent` that a schema shows: the author's for the client's. */

import {
  getNamedType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql';
import type { GraphQLNamedType, GraphQLSchema } from 'graphql';
import { clientDirective } from './client-directive.ts';

/**
 * Changes the schema in place, because a server that has started can be given no other one. What the author
 * wrote stays readable on the fields' AST nodes.
 */
export function serveClientDirective(schema: GraphQLSchema): void {
  const authored = schema.getDirective(clientDirective.name);
  const served = schema
    .getDirectives()
    .filter((directive) => directive !== authored)
    .concat(clientDirective);
  // The array itself may be graphql's frozen default, or shared with the schema that this one was copied
  // from. Validation, introspection, printing and `toConfig` all ask this accessor.
  schema.getDirectives = () => served;

  const unneeded = new Set(
    (authored?.args ?? [])
      .map((arg) => getNamedType(arg.type))
      .filter((type) => !isSpecifiedScalarType(type)),
  );
  const needed = namesInUse(schema);
  // In graphql 16 this is the schema's own map, made by its constructor and shared with nobody; `getType`
  // and introspection read it.
  const typeMap = schema.getTypeMap();
  for (const { name } of unneeded) {
    if (!needed.has(name)) delete typeMap[name];
  }
}

/** Returns the types of all fields and arguments; unions and interfaces hold no scalars or enums. */
function namesInUse(schema: GraphQLSchema): ReadonlySet<string> {
  const names = new Set<string>();
  for (const type of Object.values(schema.getTypeMap())) addNamesOf(type, names);
  for (const directive of schema.getDirectives()) {
    for (const arg of directive.args) names.add(getNamedType(arg.type).name);
  }
  return names;
}

function addNamesOf(type: GraphQLNamedType, names: Set<string>): void {
  if (isObjectType(type) || isInterfaceType(type)) {
    for (const field of Object.values(type.getFields())) {
      names.add(getNamedType(field.type).name);
      for (const arg of field.args) names.add(getNamedType(arg.type).name);
    }
  } else if (isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) names.add(getNamedType(field.type).name);
  }
}
