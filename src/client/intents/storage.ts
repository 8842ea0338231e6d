/** Where intents are kept: anything with the four verbs; the browser's two storages fit as they are. */

/** A place of your own for intents. Every verb may answer at once or with a promise. */
export interface IntentStorage {
  get(id: string): string | null | undefined | Promise<string | null | undefined>;
  set(id: string, text: string): void | Promise<void>;
  remove(id: string): void | Promise<void>;
  /** The ids of everything in it; ids of others are left alone. */
  ids(): readonly string[] | Promise<readonly string[]>;
}

/** The part of `localStorage` and `sessionStorage` that is used. */
export interface WebStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(id: string): string | null;
  setItem(id: string, text: string): void;
  removeItem(id: string): void;
}

export function asIntentStorage(storage: IntentStorage | WebStorage): IntentStorage {
  if (!('getItem' in storage)) return storage;
  return {
    get: (id) => storage.getItem(id),
    set: (id, text) => storage.setItem(id, text),
    remove: (id) => storage.removeItem(id),
    ids: () => Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? ''),
  };
}
