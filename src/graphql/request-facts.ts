/** What the server around the guard knows of a request, and what the guard tells it in return. */

import type { RequestKeys } from '../config/options.ts';

/** How a root field of an operation ended. `ran`: a guarded resolver was called without a record, or threw. */
export type FieldOutcome = 'executed' | 'replayed' | 'refused' | 'ran' | 'unguarded';

export interface RequestFacts {
  readonly keys: RequestKeys;
  /** Whether other entries of the same HTTP batch share this source of a key. */
  readonly headerShared: boolean;
  readonly extensionShared: boolean;
  /** Outcomes by response name; the guard fills it in. */
  readonly outcomes: Map<string, FieldOutcome>;
}

/**
 * Finds the facts of a request by its context value, which every execution has for itself.
 * A context that is no object has none.
 */
export class RequestRegistry {
  readonly #facts = new WeakMap<object, RequestFacts>();

  set(context: object, facts: RequestFacts): void {
    this.#facts.set(context, facts);
  }

  get(context: unknown): RequestFacts | undefined {
    return typeof context === 'object' && context !== null ? this.#facts.get(context) : undefined;
  }
}
