/** Storages in memory, which outlive a client as the browser's outlives a page. */

import type { IntentStorage, WebStorage } from 'graphql-idempotency/client';
import { deferred } from '../../support/signal.ts';
import type { Deferred } from '../../support/signal.ts';

export interface Memory extends WebStorage {
  readonly items: ReadonlyMap<string, string>;
}

export function memory(): Memory {
  const items = new Map<string, string>();
  return {
    items,
    get length() {
      return items.size;
    },
    key: (index) => [...items.keys()][index] ?? null,
    getItem: (id) => items.get(id) ?? null,
    setItem: (id, text) => void items.set(id, text),
    removeItem: (id) => void items.delete(id),
  };
}

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
