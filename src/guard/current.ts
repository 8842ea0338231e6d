/** Gives a resolver its own attempt. */

import { createHash } from 'node:crypto';
import type { GraphQLResolveInfo } from 'graphql';
import type { Transaction } from '../store/port.ts';

/** What a guarded resolver may use of its attempt. */
export interface CurrentAttempt {
  /** The transaction that commits together with the record; over when the resolver settles. */
  readonly tx: Transaction;
  /** The client's key; `undefined` where none was sent and none is required. */
  readonly key: string | undefined;
  /** Which try at executing this is, from 1. */
  readonly attempt: number;
  /**
   * Derives a key for an outside system: the same in every attempt of this call, another for every name.
   * Without a client's key it is a new one each time.
   */
  readonly deriveKey: (name: string) => string;
}

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

/** Derives a key from an identity. The recipe never changes: outside systems remember its results. */
export function deriveKey(identity: Buffer, name: string): string {
  return createHash('sha256')
    .update('graphql-idempotency derived key\n')
    .update(identity)
    .update(name)
    .digest('base64url');
}
