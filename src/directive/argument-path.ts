/** Checks the dotted paths by which a rule names arguments. */

import { getNullableType, isInputObjectType, isListType, isScalarType, isSpecifiedScalarType } from 'graphql';
import type { GraphQLArgument, GraphQLField, GraphQLInputField, GraphQLInputType } from 'graphql';
import { nearestName } from '../config/nearest-name.ts';
import { ConfigurationError } from '../errors/configuration-error.ts';

export interface ArgumentPathOwner {
  readonly coordinate: string;
  readonly field: GraphQLField<unknown, unknown>;
}

/** Returns the path of an argument that can carry a key: no list on its way, and a value that can be text. */
export function readKeyPath(owner: ArgumentPathOwner, text: string): readonly string[] {
  const path = text.split('.');
  const leaf = walk(owner, 'keyArgument', path, (type, walked) => {
    if (!isListType(type)) return type;
    throw new ConfigurationError(
      `${owner.coordinate}: keyArgument "${text}" passes through the list "${walked}"; a call has one key.`,
    );
  });
  const carriesKey =
    isScalarType(leaf) && (!isSpecifiedScalarType(leaf) || leaf.name === 'String' || leaf.name === 'ID');
  if (carriesKey) return path;
  throw new ConfigurationError(
    `${owner.coordinate}: keyArgument "${text}" is of type ${String(leaf)}; a key is a String, an ID or a custom scalar.`,
  );
}

/** Returns the path of an argument to leave out of the fingerprint; through a list it means every item. */
export function readIgnoredPath(owner: ArgumentPathOwner, text: string): readonly string[] {
  const path = text.split('.');
  walk(owner, 'ignore', path, (type) => {
    let item = type;
    while (isListType(item)) item = getNullableType(item.ofType) as GraphQLInputType;
    return item;
  });
  return path;
}

/** `enter` unwraps the lists of a type, or refuses them; it is given types without their NonNull. */
function walk(
  { coordinate, field }: ArgumentPathOwner,
  option: 'keyArgument' | 'ignore',
  path: readonly string[],
  enter: (type: GraphQLInputType, walked: string) => GraphQLInputType,
): GraphQLInputType {
  let candidates: readonly (GraphQLArgument | GraphQLInputField)[] = field.args;
  let type: GraphQLInputType | undefined;
  for (const [index, name] of path.entries()) {
    const next = candidates.find((candidate) => candidate.name === name);
    if (next === undefined) {
      const where = type === undefined ? 'The field' : String(type);
      const nearest = nearestName(
        name,
        candidates.map((candidate) => candidate.name),
      );
      throw new ConfigurationError(
        `${coordinate}: ${option} names the argument "${path.join('.')}", which does not exist. ` +
          `${where} has no "${name}"${nearest === undefined ? '' : `; did you mean "${nearest}"?`}`,
      );
    }
    type = enter(getNullableType(next.type) as GraphQLInputType, path.slice(0, index + 1).join('.'));
    candidates = isInputObjectType(type) ? Object.values(type.getFields()) : [];
  }
  if (type === undefined) throw new ConfigurationError(`${coordinate}: ${option} names no argument.`);
  return type;
}
