/** Intents that one tab finds by the locks of another: their storages differ, or one has failed. */

import { beforeEach, expect, test, vi } from 'vitest';
import { createIntents } from 'graphql-idempotency/client';
import { caught } from '../support/page.ts';
import { webStorage } from '../support/storages.ts';
import { webLocks } from '../support/web-locks.ts';

const cart = { name: 'cart', request: {} };

beforeEach(() => {
  vi.stubGlobal('navigator', { locks: webLocks() });
  return () => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  };
});

test('one that another tab has settled gives its key to nobody', async () => {
  const { storage } = webStorage();
  const [one, other] = [createIntents({ storage }), createIntents({ storage })];
  const { intent } = await one.begin(cart);
  await other.settle(intent.key);
  const next = await other.begin(cart);
  expect(next.intent.key).not.toBe(intent.key);
  expect(next.sentBefore).toBe(false);
});

test('one that is too old is not sent again, though its key is found in no storage', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const [one, other] = [createIntents(webStorage()), createIntents(webStorage())];
  const { intent } = await one.begin(cart);
  vi.setSystemTime(Date.now() + 86_400_000);
  expect(await caught(other.begin(cart))).toMatchObject({ reason: 'expired', key: intent.key });
});

test('one outlives this page, though it was begun in another', async () => {
  const { intent } = await createIntents(webStorage()).begin(cart);
  const { storage } = webStorage();
  await createIntents({ storage }).begin(cart);
  vi.stubGlobal('navigator', { locks: webLocks() });
  const reloaded = await createIntents({ storage }).begin(cart);
  expect(reloaded).toMatchObject({ intent: { key: intent.key }, sentBefore: true });
});
