/** Finds the attempt in which a resolver runs. */

import type { GraphQLResolveInfo } from 'graphql';
import type { CurrentAttempt } from '../guard/current.ts';

type Path = GraphQLResolveInfo['path'];

/** Attempts by the root of the path at which they run: wrappers copy `info`, but pass its path on. */
export class CurrentAttempts {
  readonly #attempts = new WeakMap<Path, CurrentAttempt>();
  readonly #inside = new WeakSet<Path>();

  /**
   * Returns the `info` for the attempt's resolver: with a path of its own, because whoever wraps the guard may
   * call it again for the same field, and that call is another attempt. The original path leads the nested
   * fields to the attempt that was entered last.
   */
  enter(info: GraphQLResolveInfo, attempt: CurrentAttempt): GraphQLResolveInfo {
    const path = { ...info.path };
    this.#inside.add(path);
    this.#attempts.set(path, attempt);
    this.#attempts.set(info.path, attempt);
    return { ...info, path };
  }

  /** Whether this is the `info` of a resolver inside its attempt. */
  entered(info: GraphQLResolveInfo): boolean {
    return this.#inside.has(info.path);
  }

  /** @throws Error outside a guarded field. */
  of(info: GraphQLResolveInfo): CurrentAttempt {
    let path = info.path;
    while (path.prev !== undefined) path = path.prev;
    const attempt = this.#attempts.get(path);
    if (attempt === undefined) {
      throw new Error(
        `${info.parentType.name}.${info.fieldName} is not inside a guarded field: put @idempotent on the mutation, and register the plugin or call applyTo(schema).`,
      );
    }
    return attempt;
  }
}
