/** Storages to keep intents in: the browser's, and one that takes its time. */

import { setImmediate as later } from 'node:timers/promises';
import type { IntentStorage, WebStorage } from 'graphql-idempotency/client';

export interface KeptStorage<Storage> {
  readonly storage: Storage;
  /** What is in it, by id. */
  readonly items: Map<string, string>;
}

/** As `localStorage` behaves; it outlives a client as that outlives a page. */
export interface Memory extends WebStorage {
  /** What is in it, by id. */
  readonly items: Map<string, string>;
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

export function webStorage(): KeptStorage<WebStorage> {
  const storage = memory();
  return { storage, items: storage.items };
}

/** One of somebody's own, as slow as a database. */
export function slowStorage(): KeptStorage<IntentStorage> {
  const items = new Map<string, string>();
  return {
    items,
    storage: {
      async get(id) {
        await later();
        return items.get(id);
      },
      async set(id, text) {
        await later();
        items.set(id, text);
      },
      async remove(id) {
        await later();
        items.delete(id);
      },
      async ids() {
        await later();
        return [...items.keys()];
      },
    },
  };
}
