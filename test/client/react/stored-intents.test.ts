// @vitest-environment happy-dom
/** The hook and intents that a link keeps: the key of a name's open intent is found, shown and forgotten. */

import { act } from 'react';
import { beforeEach, expect, test, vi } from 'vitest';
import { createIntents } from 'graphql-idempotency/client';
import type { WebStorage } from 'graphql-idempotency/client';
import { click, createClient, renderPay, settled } from './support/pay.ts';
import { createWire, outcome, refused } from './support/wire.ts';

const { sessionStorage } = globalThis as unknown as { sessionStorage: WebStorage & { clear(): void } };
const intents = createIntents({ storage: sessionStorage });

beforeEach(() => {
  sessionStorage.clear();
  // Its locks are there and are null, as in no browser.
  vi.stubGlobal('navigator', { onLine: true });
});

test('a component that comes later finds the key of the open intent', async () => {
  const wire = createWire();
  const client = createClient({ ...wire, retries: { attempts: 1 }, link: { intents } });
  const early = await renderPay(client, { intent: 'cart-1' });
  const first = await click(early);
  await act(() => wire.request(0));
  await settled(first, () => wire.sent[0]!.lose());
  await early.unmount();

  const late = await renderPay(client, { intent: 'cart-1' });
  const second = await click(late);
  await act(() => wire.request(1));
  expect(wire.sent[1]!.key).toBe(wire.sent[0]!.key);
  expect(late.current()[1].key).toBe(wire.sent[0]!.key);
  await settled(second, () => wire.sent[1]!.answer(outcome('replayed')));
  expect(late.current()[1].status).toEqual({ state: 'done', replayed: true });
  expect(await intents.open()).toEqual([]);
});

test('a refusal settles nothing that another component has sent', async () => {
  const wire = createWire();
  const client = createClient({ ...wire, retries: { attempts: 1 }, link: { intents } });
  const early = await renderPay(client, { intent: 'cart-1' });
  const first = await click(early);
  await act(() => wire.request(0));
  await settled(first, () => wire.sent[0]!.lose());
  const late = await renderPay(client, { intent: 'cart-1' });
  const second = await click(late);
  await act(() => wire.request(1));
  await settled(second, () => wire.sent[1]!.answer(refused('UNAUTHENTICATED'), 401));
  expect(late.current()[1].status).toMatchObject({ state: 'unknown', key: wire.sent[0]!.key });
});

test('reset forgets the stored intent too', async () => {
  const wire = createWire();
  const client = createClient({ ...wire, retries: { attempts: 1 }, link: { intents } });
  const hook = await renderPay(client, { intent: 'cart-1', intents });
  const first = await click(hook);
  await act(() => wire.request(0));
  await settled(first, () => wire.sent[0]!.lose());
  expect(await intents.open()).toHaveLength(1);
  await act(async () => hook.current()[1].reset());
  expect(await intents.open()).toEqual([]);
  await click(hook);
  await act(() => wire.request(1));
  expect(wire.sent[1]!.key).not.toBe(wire.sent[0]!.key);
});

test('an intent that is too old to be sent again is unknown, with its key', async () => {
  const wire = createWire();
  const old = { key: 'old-key', name: 'cart-1', startedAt: 0, request: {} };
  sessionStorage.setItem('idempotency:old-key', JSON.stringify(old));
  const hook = await renderPay(createClient({ ...wire, link: { intents } }), { intent: 'cart-1', intents });
  const error = await settled(await click(hook));
  expect(hook.current()[1].status).toEqual({ state: 'unknown', key: 'old-key', error });
  expect(wire.sent).toEqual([]);
  await act(async () => hook.current()[1].reset());
  await click(hook);
  expect((await act(() => wire.request(0))).key).not.toBe('old-key');
});

test('what fails before there is a key was never sent, and the next call is a new intent', async () => {
  const wire = createWire();
  const full = new Error('storage is full');
  const strict = createIntents({
    storage: {
      get: () => undefined,
      set: () => {
        throw full;
      },
      remove: () => undefined,
      ids: () => [],
    },
    onStorageError: (error) => {
      throw error;
    },
  });
  const hook = await renderPay(createClient({ ...wire, link: { intents: strict } }), { intent: 'cart-1' });
  expect(await settled(await click(hook))).toBe(full);
  expect(hook.current()[1]).toMatchObject({ status: { state: 'failed', error: full }, key: undefined });
  expect(wire.sent).toEqual([]);
});
