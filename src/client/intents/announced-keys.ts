/** The keys of intents under way, as the other tabs see them at once: they are in the names of locks. */

interface Locks {
  request(name: string, work: () => Promise<void>): Promise<void>;
  query(): Promise<{ readonly held?: readonly { readonly name?: string }[] }>;
}

export interface AnnouncedKeys {
  /** The key that a tab announced for this name. */
  find(name: string): Promise<string | undefined>;
  /** Resolves when every tab can find the key; it can be found until it is withdrawn, or the tab is gone. */
  announce(name: string, key: string): Promise<void>;
  withdraw(key: string): void;
}

/**
 * Browsers keep a copy of `localStorage` for each process, and what one tab writes another reads a little later.
 * The locks are kept in one place.
 */
export function announcedKeys(prefix: string): AnnouncedKeys {
  const locks = (globalThis as { navigator?: { locks?: Partial<Locks> } }).navigator?.locks;
  const held = new Map<string, () => void>();
  const lockName = (name: string): string => `${prefix}open:${JSON.stringify(name)}:`;
  if (locks?.request === undefined || locks.query === undefined) {
    return { find: async () => undefined, announce: async () => undefined, withdraw: () => undefined };
  }
  const all = locks as Locks;
  return {
    async find(name) {
      const begin = lockName(name);
      const { held: locked = [] } = await all.query();
      return locked.find((lock) => lock.name?.startsWith(begin))?.name?.slice(begin.length);
    },
    announce: (name, key) =>
      new Promise((announced) => {
        const hold = (): Promise<void> => {
          announced();
          return new Promise((end) => held.set(key, end));
        };
        // A browser that refuses the lock leaves the storage alone to tell.
        all.request(lockName(name) + key, hold).catch(announced);
      }),
    withdraw(key) {
      held.get(key)?.();
      held.delete(key);
    },
  };
}
