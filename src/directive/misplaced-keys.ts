/** Finds keys in a client's operation that would protect nothing. */

import { Kind, getNamedType, isInterfaceType, isObjectType } from 'graphql';
import type {
  FieldNode,
  GraphQLNamedType,
  GraphQLResolveInfo,
  GraphQLSchema,
  OperationDefinitionNode,
  SelectionSetNode,
} from 'graphql';
import { clientDirective } from './client-directive.ts';
import type { FieldRule } from './field-rule.ts';

type Rules = ReadonlyMap<string, FieldRule>;
type Operation = Pick<GraphQLResolveInfo, 'operation' | 'fragments'>;

/** Selections still to be looked at, and where they stand. */
interface Place {
  readonly selectionSet: SelectionSetNode;
  readonly parent: GraphQLNamedType | undefined;
  readonly isRoot: boolean;
}

/** Operation nodes are shared by all requests with the same document, and an answer holds for one schema. */
const answers = new WeakMap<Rules, WeakMap<OperationDefinitionNode, readonly string[]>>();

/**
 * Returns the coordinates of the fields on which `@idempotent(key:)` stands without effect: unguarded root
 * fields and nested fields of the operation, `@skip` and `@include` notwithstanding.
 */
export function findUnsupportedKeys(
  schema: GraphQLSchema,
  document: Operation,
  guarded: Rules,
): readonly string[] {
  let ofSchema = answers.get(guarded);
  if (ofSchema === undefined) {
    ofSchema = new WeakMap();
    answers.set(guarded, ofSchema);
  }
  let answer = ofSchema.get(document.operation);
  if (answer === undefined) {
    answer = search(schema, document, guarded);
    ofSchema.set(document.operation, answer);
  }
  return answer;
}

function search(
  schema: GraphQLSchema,
  { operation, fragments }: Operation,
  guarded: Rules,
): readonly string[] {
  const unsupported = new Set<string>();
  const root = schema.getRootType(operation.operation) ?? undefined;
  const spread = new Set<string>();
  const places: Place[] = [{ selectionSet: operation.selectionSet, parent: root, isRoot: true }];
  // A list that grows while it is read, not recursion: clients choose how deep they nest.
  for (const { selectionSet, parent, isRoot } of places) {
    const typeOf = (condition: string | undefined): GraphQLNamedType | undefined =>
      // At the root an abstract condition still selects fields of the root type.
      isRoot || condition === undefined ? parent : schema.getType(condition);
    for (const selection of selectionSet.selections) {
      if (selection.kind === Kind.FIELD) {
        const coordinate = coordinateOf(parent, selection);
        if (hasKey(selection) && !(isRoot && guarded.has(coordinate))) unsupported.add(coordinate);
        if (selection.selectionSet === undefined) continue;
        const child = typeOfField(parent, selection);
        places.push({ selectionSet: selection.selectionSet, parent: child, isRoot: false });
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const condition = selection.typeCondition?.name.value;
        places.push({ selectionSet: selection.selectionSet, parent: typeOf(condition), isRoot });
      } else {
        const name = selection.name.value;
        const visit = `${isRoot ? 'root' : 'nested'} ${name}`;
        const fragment = fragments[name];
        // Once at each level: cycles end, and a fragment spread a thousand times costs as much as one.
        if (fragment === undefined || spread.has(visit)) continue;
        spread.add(visit);
        const condition = fragment.typeCondition.name.value;
        places.push({ selectionSet: fragment.selectionSet, parent: typeOf(condition), isRoot });
      }
    }
  }
  return [...unsupported];
}

function hasKey(field: FieldNode): boolean {
  return field.directives?.some((directive) => directive.name.value === clientDirective.name) ?? false;
}

function coordinateOf(parent: GraphQLNamedType | undefined, field: FieldNode): string {
  return parent === undefined ? field.name.value : `${parent.name}.${field.name.value}`;
}

/** `undefined` for introspection, whose fields belong to no type of the schema. */
function typeOfField(parent: GraphQLNamedType | undefined, field: FieldNode): GraphQLNamedType | undefined {
  if (!isObjectType(parent) && !isInterfaceType(parent)) return undefined;
  const definition = parent.getFields()[field.name.value];
  return definition && getNamedType(definition.type);
}
