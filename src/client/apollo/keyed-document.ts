/** Puts keys on the root fields of a mutation, as `@idempotent(key:)`, and finds those that are there. */

import type { ApolloLink } from '@apollo/client';
import { Kind, getOperationAST } from 'graphql';
import type {
  ConstDirectiveNode,
  DirectiveNode,
  DocumentNode,
  FieldNode,
  FragmentDefinitionNode,
  OperationDefinitionNode,
  SelectionSetNode,
} from 'graphql';

const DIRECTIVE = 'idempotent';

/** A document whose root fields take their keys from variables. */
export interface KeyedDocument {
  readonly query: DocumentNode;
  /** The variable of each root field, by the field's name in the response. */
  readonly variables: ReadonlyMap<string, string>;
}

// Documents are shared by all their operations; each is rewritten once.
const keyed = new WeakMap<DocumentNode, Map<string, KeyedDocument>>();

/** The document with a directive on each root field that has none. */
export function keyedDocument(document: DocumentNode, operationName: string | undefined): KeyedDocument {
  let byName = keyed.get(document);
  if (byName === undefined) keyed.set(document, (byName = new Map()));
  let made = byName.get(operationName ?? '');
  if (made === undefined) byName.set(operationName ?? '', (made = addDirectives(document, operationName)));
  return made;
}

/** The variables with the keys in them: one field has the key itself, several have one derived from it each. */
export function keyVariables({ variables }: KeyedDocument, key: string): Record<string, string> {
  const derived = (name: string): string => (variables.size === 1 ? key : `${key}:${name}`);
  return Object.fromEntries([...variables].map(([name, variable]) => [variable, derived(name)]));
}

/** The key of the first root field, where every root field has one. */
export function keyInDocument(operation: ApolloLink.Operation): string | undefined {
  const keys = [...keysByField(operation).values()];
  return keys.includes(undefined) ? undefined : keys[0];
}

/** Whether some root fields have a key and others have none. */
export function isPartlyKeyed(operation: ApolloLink.Operation): boolean {
  const keys = new Set([...keysByField(operation).values()].map((key) => key !== undefined));
  return keys.size === 2;
}

/** The key of each root field, by the field's name in the response; one of the places of a field may have it. */
function keysByField({
  query,
  operationName,
  variables,
}: ApolloLink.Operation): Map<string, string | undefined> {
  const keys = new Map<string, string | undefined>();
  const operation = operationOf(query, operationName);
  if (operation === undefined) return keys;
  for (const field of rootFieldsOf(query, operation.selectionSet)) {
    const name = responseNameOf(field);
    keys.set(name, keys.get(name) ?? keyOfField(field, variables));
  }
  return keys;
}

function keyOfField(field: FieldNode, variables: Readonly<Record<string, unknown>>): string | undefined {
  const value = directiveOf(field)?.arguments?.find(({ name }) => name.value === 'key')?.value;
  if (value?.kind === Kind.STRING) return value.value;
  const variable: unknown = value?.kind === Kind.VARIABLE ? variables[value.name.value] : undefined;
  return typeof variable === 'string' ? variable : undefined;
}

function addDirectives(document: DocumentNode, operationName: string | undefined): KeyedDocument {
  const operation = operationOf(document, operationName);
  const variables = new Map<string, string>();
  if (operation === undefined) return { query: document, variables };
  const taken = new Set(operation.variableDefinitions?.map(({ variable }) => variable.name.value));
  const fields = rootFieldsOf(document, operation.selectionSet);
  const own = new Set(fields.filter((field) => directiveOf(field) !== undefined).map(responseNameOf));
  for (const name of new Set(fields.map(responseNameOf))) {
    if (own.has(name)) continue;
    let variable = variables.size === 0 ? 'idempotencyKey' : `idempotencyKey${variables.size + 1}`;
    while (taken.has(variable)) variable = `_${variable}`;
    taken.add(variable);
    variables.set(name, variable);
  }
  const roots = new Set(rootFragmentsOf(document, operation.selectionSet));
  const definitions = document.definitions.map((definition) => {
    if (definition === operation) return withVariables(operation, variables);
    if (definition.kind !== Kind.FRAGMENT_DEFINITION || !roots.has(definition)) return definition;
    return { ...definition, selectionSet: withDirectives(definition.selectionSet, variables) };
  });
  return { query: { ...document, definitions }, variables };
}

function withVariables(
  operation: OperationDefinitionNode,
  variables: ReadonlyMap<string, string>,
): OperationDefinitionNode {
  const added = [...variables.values()].map((name) => ({
    kind: Kind.VARIABLE_DEFINITION as const,
    variable: { kind: Kind.VARIABLE as const, name: { kind: Kind.NAME as const, value: name } },
    type: {
      kind: Kind.NON_NULL_TYPE as const,
      type: { kind: Kind.NAMED_TYPE as const, name: { kind: Kind.NAME as const, value: 'String' } },
    },
  }));
  return {
    ...operation,
    variableDefinitions: [...(operation.variableDefinitions ?? []), ...added],
    selectionSet: withDirectives(operation.selectionSet, variables),
  };
}

function withDirectives(
  { selections, ...rest }: SelectionSetNode,
  variables: ReadonlyMap<string, string>,
): SelectionSetNode {
  return {
    ...rest,
    selections: selections.map((selection) => {
      if (selection.kind === Kind.FRAGMENT_SPREAD) return selection;
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        return { ...selection, selectionSet: withDirectives(selection.selectionSet, variables) };
      }
      const variable = variables.get(responseNameOf(selection));
      if (variable === undefined) return selection;
      return { ...selection, directives: [...(selection.directives ?? []), directive(variable)] };
    }),
  };
}

function directive(variable: string): DirectiveNode {
  const name = (value: string): { readonly kind: Kind.NAME; readonly value: string } => ({
    kind: Kind.NAME,
    value,
  });
  return {
    kind: Kind.DIRECTIVE,
    name: name(DIRECTIVE),
    arguments: [
      { kind: Kind.ARGUMENT, name: name('key'), value: { kind: Kind.VARIABLE, name: name(variable) } },
    ],
  };
}

/** The fields of the mutation itself, those in fragments too; `__typename` is nobody's effect. */
function rootFieldsOf(document: DocumentNode, selectionSet: SelectionSetNode): FieldNode[] {
  const sets = [selectionSet, ...rootFragmentsOf(document, selectionSet).map((root) => root.selectionSet)];
  const fieldsOf = ({ selections }: SelectionSetNode): FieldNode[] =>
    selections.flatMap((selection) => {
      if (selection.kind === Kind.FIELD) return selection.name.value.startsWith('__') ? [] : [selection];
      return selection.kind === Kind.INLINE_FRAGMENT ? fieldsOf(selection.selectionSet) : [];
    });
  return sets.flatMap(fieldsOf);
}

/** The fragments that are spread at the root, and those that are spread in these. */
function rootFragmentsOf(
  document: DocumentNode,
  selectionSet: SelectionSetNode,
  found: FragmentDefinitionNode[] = [],
): FragmentDefinitionNode[] {
  for (const selection of selectionSet.selections) {
    if (selection.kind === Kind.INLINE_FRAGMENT) rootFragmentsOf(document, selection.selectionSet, found);
    if (selection.kind !== Kind.FRAGMENT_SPREAD) continue;
    const fragment = document.definitions.find(
      (definition): definition is FragmentDefinitionNode =>
        definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === selection.name.value,
    );
    if (fragment === undefined || found.includes(fragment)) continue;
    found.push(fragment);
    rootFragmentsOf(document, fragment.selectionSet, found);
  }
  return found;
}

function operationOf(
  document: DocumentNode,
  operationName: string | undefined,
): OperationDefinitionNode | undefined {
  return getOperationAST(document, operationName) ?? getOperationAST(document) ?? undefined;
}

function directiveOf({ directives }: FieldNode): DirectiveNode | ConstDirectiveNode | undefined {
  return directives?.find(({ name }) => name.value === DIRECTIVE);
}

function responseNameOf({ alias, name }: FieldNode): string {
  return (alias ?? name).value;
}
