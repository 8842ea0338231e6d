/** What the entries of one HTTP request share. Apollo Server gives them one response head. */

import type { HTTPGraphQLHead } from '@apollo/server';

/** One HTTP request: a single operation, or the entries of a batch. */
export interface Batch {
  entries: number;
  /** How often each `extensions.idempotencyKey` occurs among the entries. */
  readonly extensionKeys: Map<unknown, number>;
  /** Entries in which nothing ran and something was refused, with the highest status of each. */
  readonly refusedStatuses: number[];
  guardedFields: number;
  replayedFields: number;
}

/**
 * Finds the batch of an entry. Every entry joins in `requestDidStart`, which Apollo Server calls for all
 * entries before the first of them goes on; so the count is complete when keys are resolved.
 */
export class Batches {
  readonly #batches = new WeakMap<HTTPGraphQLHead, Batch>();

  join(head: HTTPGraphQLHead, extensionKey: unknown): Batch {
    let batch = this.#batches.get(head);
    if (batch === undefined) {
      batch = {
        entries: 0,
        extensionKeys: new Map(),
        refusedStatuses: [],
        guardedFields: 0,
        replayedFields: 0,
      };
      this.#batches.set(head, batch);
    }
    batch.entries += 1;
    if (extensionKey != null) {
      batch.extensionKeys.set(extensionKey, (batch.extensionKeys.get(extensionKey) ?? 0) + 1);
    }
    return batch;
  }
}
