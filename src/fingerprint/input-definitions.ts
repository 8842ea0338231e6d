/** Knows the schema's input definitions in the form that the walk needs: sorted, and enum values by name. */

import type { GraphQLArgument, GraphQLEnumType, GraphQLInputField } from 'graphql';

/** An argument or an input field. */
export type InputDefinition = GraphQLArgument | GraphQLInputField;

type DefinitionCollection = readonly InputDefinition[] | Readonly<Record<string, InputDefinition>>;

const sortedLists = new WeakMap<object, readonly InputDefinition[]>();
const enumNames = new WeakMap<object, ReadonlyMap<unknown, string>>();

/** Returns definitions ascending by name; the same collection always gives the same list. */
export function sortedDefinitions(definitions: DefinitionCollection): readonly InputDefinition[] {
  const known = sortedLists.get(definitions);
  if (known !== undefined) return known;
  const list = Object.values(definitions).sort((a, b) => (a.name < b.name ? -1 : 1));
  sortedLists.set(definitions, list);
  return list;
}

/**
 * Returns the name of an internal enum value, the first one if there are several, so that a name added in a
 * deploy does not rename the value; `undefined` if it is no value of the enum.
 */
export function enumNameOf(type: GraphQLEnumType, internalValue: unknown): string | undefined {
  const values = type.getValues();
  let names = enumNames.get(values);
  if (names === undefined) {
    names = new Map(values.toReversed().map(({ name, value }) => [value as unknown, name]));
    enumNames.set(values, names);
  }
  return names.get(internalValue);
}
