/** Which root fields an operation will execute, before it does. Knows @skip, @include and fragments. */

import {
  GraphQLIncludeDirective,
  GraphQLSkipDirective,
  Kind,
  getDirectiveValues,
  isAbstractType,
  typeFromAST,
} from 'graphql';
import type {
  FieldNode,
  GraphQLObjectType,
  GraphQLResolveInfo,
  SelectionNode,
  SelectionSetNode,
} from 'graphql';

/** The part of `info` that says what is executed. Without variables: every field that may be. */
export type Execution = Pick<GraphQLResolveInfo, 'schema' | 'operation' | 'fragments'> & {
  readonly variableValues: GraphQLResolveInfo['variableValues'] | undefined;
};

/** Returns the field nodes of every response name, in order, merged as the executor merges them. */
export function rootFields(execution: Execution): ReadonlyMap<string, readonly FieldNode[]> {
  const { schema, operation, fragments } = execution;
  const root = schema.getRootType(operation.operation)!;
  const fields = new Map<string, FieldNode[]>();
  const spread = new Set<string>();
  // A stack of what is left to read, so that deeply nested fragments cannot exhaust the call stack.
  const rest: SelectionNode[] = reversed(operation.selectionSet);
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    if (!isIncluded(execution, node)) continue;
    switch (node.kind) {
      case Kind.FIELD: {
        const responseName = node.alias?.value ?? node.name.value;
        const nodes = fields.get(responseName);
        if (nodes === undefined) fields.set(responseName, [node]);
        else nodes.push(node);
        break;
      }
      case Kind.INLINE_FRAGMENT:
        if (applies(execution, node.typeCondition, root)) rest.push(...reversed(node.selectionSet));
        break;
      case Kind.FRAGMENT_SPREAD: {
        const name = node.name.value;
        const fragment = fragments[name];
        if (fragment === undefined || spread.has(name)) break;
        spread.add(name);
        if (applies(execution, fragment.typeCondition, root)) rest.push(...reversed(fragment.selectionSet));
      }
    }
  }
  return fields;
}

function reversed(selectionSet: SelectionSetNode): SelectionNode[] {
  return selectionSet.selections.toReversed();
}

function isIncluded({ variableValues }: Execution, node: SelectionNode): boolean {
  if (variableValues === undefined || node.directives === undefined || node.directives.length === 0)
    return true;
  if (getDirectiveValues(GraphQLSkipDirective, node, variableValues)?.['if'] === true) return false;
  return getDirectiveValues(GraphQLIncludeDirective, node, variableValues)?.['if'] !== false;
}

function applies(
  { schema }: Execution,
  condition: Parameters<typeof typeFromAST>[1] | undefined,
  root: GraphQLObjectType,
): boolean {
  if (condition === undefined) return true;
  const type = typeFromAST(
    schema,
    condition as Parameters<typeof typeFromAST>[1] & { kind: Kind.NAMED_TYPE },
  );
  return type === root || (isAbstractType(type) && schema.isSubType(type, root));
}
