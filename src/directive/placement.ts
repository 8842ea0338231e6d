/** Where `@idempotent` may stand in a schema, and finds it where it may not. */

import {
  getNamedType,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
} from 'graphql';
import type { ConstDirectiveNode, GraphQLNamedType, GraphQLObjectType, GraphQLSchema } from 'graphql';
import { ConfigurationError } from '../errors/configuration-error.ts';
import { authorDirective } from './author-directive.ts';

/** A part of a schema that SDL or code can mark. */
interface Part {
  readonly coordinate: string;
  readonly element: {
    readonly astNode?: AnnotatedNode | null | undefined;
    readonly extensionASTNodes?: readonly AnnotatedNode[] | undefined;
    readonly extensions?: Readonly<Record<string, unknown>> | undefined;
  };
}

interface AnnotatedNode {
  readonly directives?: readonly ConstDirectiveNode[] | undefined;
}

/** Refuses a mark on anything but a field of the mutation root type. */
export function assertPlacement(schema: GraphQLSchema): void {
  const mutation = schema.getMutationType() ?? undefined;
  for (const { coordinate, element } of unguardableParts(schema, mutation)) {
    const nodes = [element.astNode, ...(element.extensionASTNodes ?? [])];
    const inSdl = nodes.some((node) =>
      node?.directives?.some((directive) => directive.name.value === authorDirective.name),
    );
    if (!inSdl && element.extensions?.['idempotent'] === undefined) continue;
    const root = mutation === undefined ? 'which this schema lacks' : `here ${mutation.name}`;
    throw new ConfigurationError(
      `${coordinate}: ${inSdl ? '@idempotent' : 'extensions.idempotent'} may stand only on fields of the mutation root type, ${root}.`,
    );
  }
}

/**
 * Refuses a mutation root type that is also reached in another way: its fields would run in parallel, any
 * number of times in an operation, where no key was agreed on before anything ran.
 */
export function assertRootApart(schema: GraphQLSchema, hasGuardedFields: boolean): void {
  const mutation = schema.getMutationType();
  if (mutation === undefined || mutation === null) return;
  for (const [operation, root] of [
    ['query', schema.getQueryType()],
    ['subscription', schema.getSubscriptionType()],
  ] as const) {
    if (root !== mutation) continue;
    throw new ConfigurationError(
      `${mutation.name}: is the root type of mutations and the ${operation} root type as well; give each its own.`,
    );
  }
  if (!hasGuardedFields) return;
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) && !isInterfaceType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      if (!canBe(schema, getNamedType(field.type), mutation)) continue;
      throw new ConfigurationError(
        `${type.name}.${field.name}: can return ${mutation.name}, whose guarded fields may run only as root fields.`,
      );
    }
  }
}

function canBe(schema: GraphQLSchema, type: GraphQLNamedType, mutation: GraphQLObjectType): boolean {
  return type === mutation || (isAbstractType(type) && schema.isSubType(type, mutation));
}

/** Yields everything but the fields of the mutation root type, by schema coordinate. */
function* unguardableParts(schema: GraphQLSchema, mutation: GraphQLObjectType | undefined): Generator<Part> {
  yield { coordinate: 'schema', element: schema };
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isIntrospectionType(type)) yield* partsOfType(type, type === mutation);
  }
  for (const directive of schema.getDirectives()) {
    for (const arg of directive.args) {
      yield { coordinate: `@${directive.name}(${arg.name}:)`, element: arg };
    }
  }
}

function* partsOfType(type: GraphQLNamedType, isMutation: boolean): Generator<Part> {
  yield { coordinate: type.name, element: type };
  if (isObjectType(type) || isInterfaceType(type)) {
    for (const field of Object.values(type.getFields())) {
      const coordinate = `${type.name}.${field.name}`;
      if (!isMutation) yield { coordinate, element: field };
      for (const arg of field.args) yield { coordinate: `${coordinate}(${arg.name}:)`, element: arg };
    }
  } else if (isInputObjectType(type)) {
    for (const field of Object.values(type.getFields())) {
      yield { coordinate: `${type.name}.${field.name}`, element: field };
    }
  } else if (isEnumType(type)) {
    for (const value of type.getValues()) {
      yield { coordinate: `${type.name}.${value.name}`, element: value };
    }
  }
}
