/** Two that begin an intent of the same name at the same time: two clicks, two tabs. */

import { afterEach, describe, expect, test, vi } from 'vitest';
import { createIntents } from 'graphql-idempotency/client';
import { slowStorage } from '../support/storages.ts';

afterEach(() => vi.unstubAllGlobals());

/** Web Locks, as far as they are used: one holder of a name at a time. */
function webLocks(): {
  readonly asked: string[];
  request<Result>(name: string, work: () => Promise<Result>): Promise<Result>;
} {
  const last = new Map<string, Promise<unknown>>();
  const asked: string[] = [];
  return {
    asked,
    request(name, work) {
      asked.push(name);
      const turn = (last.get(name) ?? Promise.resolve()).then(work);
      last.set(
        name,
        turn.catch(() => undefined),
      );
      return turn;
    },
  };
}

async function beginAtOnce(tabs: number): Promise<{ keys: Set<string>; first: number; stored: number }> {
  const { storage, items } = slowStorage();
  const begun = await Promise.all(
    Array.from({ length: tabs }, () => createIntents({ storage }).begin({ name: 'cart', request: 1 })),
  );
  return {
    keys: new Set(begun.map(({ intent }) => intent.key)),
    first: begun.filter(({ sentBefore }) => !sentBefore).length,
    stored: items.size,
  };
}

describe('have one key', () => {
  test.each([undefined, {}, { onLine: true }])(
    'in one page, where the browser has no locks: %j',
    async (navigator) => {
      vi.stubGlobal('navigator', navigator);
      const { keys, first, stored } = await beginAtOnce(5);
      expect([keys.size, first, stored]).toEqual([1, 1, 1]);
    },
  );

  test('across tabs, where it has them', async () => {
    const locks = webLocks();
    vi.stubGlobal('navigator', { locks });
    const { keys, first, stored } = await beginAtOnce(5);
    expect([keys.size, first, stored]).toEqual([1, 1, 1]);
    expect(new Set(locks.asked).size).toBe(1);
    expect(locks.asked).toHaveLength(5);
  });
});

test.each([undefined, { locks: webLocks() }])(
  'one that fails to begin keeps no other waiting',
  async (navigator) => {
    vi.stubGlobal('navigator', navigator);
    const { storage } = slowStorage();
    let failures = 0;
    const failing = {
      ...storage,
      ids() {
        failures += 1;
        if (failures === 1) throw new Error('not now');
        return storage.ids();
      },
    };
    const intents = createIntents({ storage: failing });
    const [one, other] = await Promise.allSettled([
      intents.begin({ name: 'cart', request: 1 }),
      intents.begin({ name: 'cart', request: 1 }),
    ]);
    expect([one.status, other.status]).toEqual(['rejected', 'fulfilled']);
  },
);
