/** What becomes of stored intents on the next page: sent again, or too old for that. */

import { afterEach, describe, expect, test, vi } from 'vitest';
import { idempotentFetch } from 'graphql-idempotency/client';
import { ADDRESS, PAY, caught, lost, page, paid, refused } from '../support/page.ts';
import { webStorage } from '../support/storages.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('resuming', () => {
  /** Leaves one intent behind, and gives its key. */
  async function leave(store: ReturnType<typeof webStorage>, name?: string): Promise<string> {
    const { send, sent } = page(store, lost);
    await caught(send(ADDRESS, { ...PAY, intent: name }));
    return sent[0]!.key;
  }

  test('keeps the age of an intent that another tab has settled meanwhile', async () => {
    const store = webStorage();
    const clock = vi.spyOn(Date, 'now').mockReturnValue(1_000_000);
    const key = await leave(store);
    clock.mockReturnValue(70_000_000);
    const { send } = page(store, () => {
      store.items.clear();
      return lost();
    });
    expect(await send.resume()).toMatchObject([{ kind: 'unknown' }]);
    expect(await page(store, paid).intents.open()).toMatchObject([{ key, startedAt: 1_000_000 }]);
  });

  test('sends the oldest first, and each on its own', async () => {
    const store = webStorage();
    const clock = vi.spyOn(Date, 'now').mockReturnValue(2_000_000);
    const second = await leave(store);
    clock.mockReturnValue(1_000_000);
    const first = await leave(store);
    clock.mockReturnValue(3_000_000);
    const { send, sent } = page(store, (attempt) => (attempt === 1 ? lost() : paid()));
    expect((await send.resume()).map(({ kind, intent }) => [kind, intent.key])).toEqual([
      ['unknown', first],
      ['answered', second],
    ]);
    expect(sent.map(({ key }) => key)).toEqual([first, second]);
    expect([...store.items.values()].map((text) => (JSON.parse(text) as { key: string }).key)).toEqual([
      first,
    ]);
  });

  test('that is refused leaves it as unknown as it was', async () => {
    const store = webStorage();
    const key = await leave(store);
    const { send } = page(store, refused);
    expect(await send.resume()).toMatchObject([{ kind: 'unknown', error: { reason: 'refused', key } }]);
    expect(store.items.size).toBe(1);
  });

  test('that is given up leaves it as unknown as it was', async () => {
    const store = webStorage();
    const key = await leave(store);
    const { send, sent } = page(store, paid);
    const cause = new Error('enough');
    const resumed = await send.resume({ signal: AbortSignal.abort(cause) });
    expect(resumed).toMatchObject([
      { kind: 'unknown', error: { reason: 'aborted', key, attempts: 0, cause } },
    ]);
    expect([sent.length, store.items.size]).toEqual([0, 1]);
  });

  test('leaves alone what another client stored, in another form', async () => {
    const store = webStorage();
    const { send, sent, intents } = page(store, paid);
    await intents.begin({ key: 'of-a-link', request: { query: 'mutation { pay }', variables: {} } });
    expect(await send.resume()).toMatchObject([{ kind: 'unknown', intent: { key: 'of-a-link' } }]);
    expect([sent.length, store.items.size]).toEqual([0, 1]);
  });

  test('without a storage there is nothing to resume', async () => {
    expect(await idempotentFetch().resume()).toEqual([]);
  });

  test('an error that settles it is told, and the intent forgotten', async () => {
    const store = webStorage();
    await leave(store);
    const error = new Error('declined');
    const { intents } = page(store, paid);
    expect(await intents.resume(() => Promise.reject(error))).toMatchObject([{ kind: 'failed', error }]);
    expect(store.items.size).toBe(0);
  });
});

describe('an intent that the server may have forgotten', () => {
  const DAY = 86_400_000;
  const old = async (ageMs: number) => {
    const store = webStorage();
    const now = Date.now();
    const clock = vi.spyOn(Date, 'now').mockReturnValue(now - ageMs);
    const { sent, send } = page(store, lost);
    await caught(send(ADDRESS, { ...PAY, intent: 'cart' }));
    clock.mockReturnValue(now);
    return { ...page(store, paid), items: store.items, key: sent[0]!.key };
  };

  test('is not sent again, and told', async () => {
    const { send, sent, items, key } = await old(DAY);
    expect(await send.resume()).toMatchObject([{ kind: 'expired', intent: { key, name: 'cart' } }]);
    expect([sent.length, items.size]).toEqual([0, 1]);
  });

  test('is not sent shortly before that either: retries take a while', async () => {
    const { send, sent } = await old(DAY - 30_000);
    expect(await send.resume()).toMatchObject([{ kind: 'expired' }]);
    expect(sent).toHaveLength(0);
    const young = await old(DAY / 2);
    expect(await young.send.resume()).toMatchObject([{ kind: 'answered' }]);
  });

  test('keeps its name from a new key, until somebody has looked', async () => {
    const { send, sent, intents, key } = await old(DAY);
    const error = await caught(send(ADDRESS, { ...PAY, intent: 'cart' }));
    expect(error).toMatchObject({ name: 'OutcomeUnknownError', reason: 'expired', key, attempts: 0 });
    expect((error as Error).message).toMatch(/look for the effect/);
    expect(sent).toHaveLength(0);
    await intents.settle(key);
    expect((await send(ADDRESS, { ...PAY, intent: 'cart' })).status).toBe(200);
    expect(sent[0]!.key).not.toBe(key);
  });
});
