/** The keys of intents under way, as the other tabs see them at once: they are in the names of locks. */

import { parseJson } from '../engine/parse-json.ts';

interface Locks {
  request(name: string, work: () => Promise<void>): Promise<void>;
  request(name: string, options: { readonly steal: true }, work: () => Promise<void>): Promise<void>;
  query(): Promise<{ readonly held?: readonly { readonly name?: string }[] }>;
}

export interface AnnouncedKey {
  readonly key: string;
  readonly name?: string | undefined;
  readonly startedAt: number;
}

export interface AnnouncedKeys {
  /** What a tab announced that is the one asked for. */
  find(asked: (one: AnnouncedKey) => boolean): Promise<AnnouncedKey | undefined>;
  /** Resolves when every tab can find it; it can be found until a tab withdraws it, or its own is gone. */
  announce(one: AnnouncedKey): Promise<void>;
  withdraw(key: string): Promise<void>;
}

/**
 * Browsers keep a copy of `localStorage` for each process, and what one tab writes another reads a little later.
 * The locks are kept in one place.
 */
export function announcedKeys(prefix: string): AnnouncedKeys {
  const locks = (globalThis as { navigator?: { locks?: Partial<Locks> } }).navigator?.locks;
  const begin = `${prefix}open:`;
  const lockName = ({ key, name, startedAt }: AnnouncedKey): string =>
    begin + JSON.stringify({ key, name, startedAt });
  if (locks?.request === undefined || locks.query === undefined) {
    return { find: async () => undefined, announce: async () => undefined, withdraw: async () => undefined };
  }
  const all = locks as Locks;

  async function find(asked: (one: AnnouncedKey) => boolean): Promise<AnnouncedKey | undefined> {
    const { held = [] } = await all.query();
    return held
      .filter(({ name }) => name?.startsWith(begin))
      .map(({ name }) => parseJson(name!.slice(begin.length)) as AnnouncedKey | undefined)
      .find((one) => one && asked(one));
  }

  return {
    find,
    announce: (one) =>
      new Promise((announced) => {
        const hold = (): Promise<void> => {
          announced();
          return new Promise(() => undefined);
        };
        // A browser that refuses the lock leaves the storage alone to tell.
        all.request(lockName(one), hold).catch(announced);
      }),
    async withdraw(key) {
      const open = await find((one) => one.key === key).catch(() => undefined);
      // Another tab may hold it, for which the intent is as unknown as it was.
      if (open) all.request(lockName(open), { steal: true }, async () => undefined).catch(() => undefined);
    },
  };
}
