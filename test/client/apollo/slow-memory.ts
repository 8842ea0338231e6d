/** A storage that is as slow as the test wants it. */

import type { IntentStorage } from 'graphql-idempotency/client';
import { deferred } from '../../support/signal.ts';
import type { Deferred } from '../../support/signal.ts';

/** Stores and removes when the test lets it, and says when it was asked to. */
export interface SlowMemory {
  readonly storage: IntentStorage;
  readonly items: ReadonlyMap<string, string>;
  readonly setting: Deferred<void>;
  readonly maySet: Deferred<void>;
  readonly removing: Deferred<void>;
  readonly mayRemove: Deferred<void>;
}

export function slowMemory(): SlowMemory {
  const items = new Map<string, string>();
  const [setting, maySet, removing, mayRemove] = [deferred(), deferred(), deferred(), deferred()];
  const storage: IntentStorage = {
    ids: () => [...items.keys()],
    get: (id) => items.get(id),
    async set(id, text) {
      setting.resolve();
      await maySet.promise;
      items.set(id, text);
    },
    async remove(id) {
      removing.resolve();
      await mayRemove.promise;
      items.delete(id);
    },
  };
  return { storage, items, setting, maySet, removing, mayRemove };
}
