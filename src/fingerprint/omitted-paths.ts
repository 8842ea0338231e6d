/** Knows which argument paths do not count: the key itself, and what the schema author ignores. */

/** A tree of argument names; a path through a list holds for each of its elements. */
export interface OmittedPaths {
  /** Whether the value at this place is left out altogether. */
  readonly whole: boolean;
  readonly children: ReadonlyMap<string, OmittedPaths>;
}

/** Nothing is left out. */
export const NOTHING_OMITTED: OmittedPaths = { whole: false, children: new Map() };

const trees = new WeakMap<readonly (readonly string[])[], OmittedPaths>();

/** Returns the tree of a list of paths; the same list always has the same tree. */
export function omittedPathsOf(paths: readonly (readonly string[])[]): OmittedPaths {
  if (paths.length === 0) return NOTHING_OMITTED;
  const known = trees.get(paths);
  if (known !== undefined) return known;
  const tree = treeOf(paths);
  trees.set(paths, tree);
  return tree;
}

// Recursive over paths that the schema author wrote, never over what a client sends.
function treeOf(paths: readonly (readonly string[])[]): OmittedPaths {
  const tails = new Map<string, string[][]>();
  for (const [name, ...tail] of paths) {
    if (name === undefined) continue;
    const siblings = tails.get(name);
    if (siblings === undefined) tails.set(name, [tail]);
    else siblings.push(tail);
  }
  const children = new Map<string, OmittedPaths>();
  for (const [name, siblings] of tails) children.set(name, treeOf(siblings));
  return { whole: paths.some((path) => path.length === 0), children };
}
