/** Counting what happens, for who waits until it has happened so often. */

import { deferred } from '../../support/signal.ts';

export interface Counter {
  add(): void;
  /** Resolves when it has counted so far. */
  reach(count: number): Promise<void>;
}

/** Counts, for who waits for a number. */
export function counter(): Counter {
  let counted = 0;
  const waiting: { readonly count: number; readonly come: () => void }[] = [];
  return {
    add() {
      counted += 1;
      for (const { count, come } of waiting) if (counted >= count) come();
    },
    reach(count) {
      const { promise, resolve } = deferred();
      if (counted >= count) resolve();
      else waiting.push({ count, come: resolve });
      return promise;
    },
  };
}
