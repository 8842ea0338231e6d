/** Intents that outlive the page: stored before they are sent, forgotten when they are answered. */

import { afterEach, describe, expect, test, vi } from 'vitest';
import { OutcomeUnknownError, createIntents, idempotentFetch } from 'graphql-idempotency/client';
import { ADDRESS, BODY, PAY, caught, lost, page, paid, refused } from '../support/page.ts';
import { deferred } from '../../support/signal.ts';
import { slowStorage, webStorage } from '../support/storages.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe.each([
  ['the browser’s storage', webStorage],
  ['a storage of one’s own', slowStorage],
] as const)('in %s an intent', (_, kept) => {
  test('is there before it is sent for the first time, and gone when it is answered', async () => {
    const store = kept();
    const { send, sent } = page(store, paid);
    await send(ADDRESS, PAY);
    expect(sent[0]!.stored).toHaveLength(1);
    expect(JSON.parse(sent[0]!.stored[0]!)).toMatchObject({
      key: sent[0]!.key,
      request: { url: ADDRESS, body: BODY },
    });
    expect(store.items.size).toBe(0);
  });

  test('is kept without an answer, and sent again with its key by the next page', async () => {
    const store = kept();
    const before = page(store, lost);
    expect(await caught(before.send(ADDRESS, PAY))).toBeInstanceOf(OutcomeUnknownError);
    expect(store.items.size).toBe(1);
    const after = page(store, paid);
    const [resumed] = await after.send.resume({ headers: { authorization: 'Bearer of today' } });
    expect(resumed).toMatchObject({ kind: 'answered', intent: { key: before.sent[0]!.key } });
    if (resumed?.kind === 'answered') expect(await resumed.answer.json()).toEqual({ data: { pay: 1 } });
    expect(after.sent).toMatchObject([{ url: ADDRESS, key: before.sent[0]!.key, body: BODY }]);
    expect(after.sent[0]!.headers.get('authorization')).toBe('Bearer of today');
    expect(after.sent[0]!.headers.get('content-type')).toBe('application/json');
    expect(store.items.size).toBe(0);
    expect(await after.send.resume()).toEqual([]);
  });
});

describe('what is stored', () => {
  test('holds no header, and no credentials of an address that has none', async () => {
    const store = webStorage();
    await caught(page(store, lost).send(ADDRESS, PAY));
    await caught(page(store, lost).send(new Request(ADDRESS, PAY)));
    expect([...store.items.values()].join()).not.toContain('secret');
    expect(store.items.size).toBe(2);
  });

  test('has the whole address, for a page elsewhere', async () => {
    vi.stubGlobal('location', { href: 'http://shop.example/cart/17' });
    const store = webStorage();
    const { send, intents } = page(store, lost);
    await caught(send('../graphql?v=2', PAY));
    expect(await intents.open()).toMatchObject([{ request: { url: 'http://shop.example/graphql?v=2' } }]);
  });

  test('is nothing of a query, a batch, or a mutation that is not guarded', async () => {
    const store = webStorage();
    const { send, sent } = page(store, paid, { guarded: () => false });
    for (const body of ['{"query":"{ a }"}', `[${BODY}]`, BODY]) await send(ADDRESS, { ...PAY, body });
    expect(sent.map(({ stored }) => stored)).toEqual([[], [], []]);
  });

  test('of a key in the body is sent again with it there', async () => {
    const store = webStorage();
    await caught(page(store, lost, { keyIn: 'extensions' }).send(ADDRESS, PAY));
    const { send, sent, intents } = page(store, paid, { keyIn: 'extensions' });
    const [intent] = await intents.open();
    await send.resume();
    expect(JSON.parse(sent[0]!.body)).toEqual({
      ...(JSON.parse(BODY) as object),
      extensions: { idempotencyKey: intent!.key },
    });
    expect(sent[0]!.headers.has('idempotency-key')).toBe(false);
  });
});

describe('an intent ends', () => {
  test('when its first attempt is refused: nothing was executed', async () => {
    const store = webStorage();
    expect((await page(store, refused).send(ADDRESS, PAY)).status).toBe(401);
    expect(store.items.size).toBe(0);
  });

  test('not when a later one is refused', async () => {
    const store = webStorage();
    const { send } = page(store, (attempt) => (attempt === 1 ? lost() : refused()), {
      attempts: 2,
      baseDelayMs: 0,
    });
    expect(await caught(send(ADDRESS, PAY))).toMatchObject({ reason: 'refused' });
    expect(store.items.size).toBe(1);
  });

  test('when the caller gives up before it was sent', async () => {
    const store = slowStorage();
    const reason = new Error('enough');
    const controller = new AbortController();
    const set = store.storage.set.bind(store.storage);
    const storage = {
      ...store.storage,
      async set(id: string, text: string) {
        await set(id, text);
        controller.abort(reason);
      },
    };
    const { send, sent } = page({ ...store, storage }, paid);
    expect(await caught(send(ADDRESS, { ...PAY, signal: controller.signal }))).toBe(reason);
    expect([sent.length, store.items.size]).toEqual([0, 0]);
  });

  test('before it began, when the caller gave up already: no other call finds it', async () => {
    const store = webStorage();
    const { send, sent } = page(store, paid);
    const controller = new AbortController();
    const first = caught(send(ADDRESS, { ...PAY, intent: 'cart', signal: controller.signal }));
    controller.abort(new Error('unmounted'));
    await send(ADDRESS, { ...PAY, intent: 'cart' });
    expect(await first).toMatchObject({ message: 'unmounted' });
    expect(sent).toHaveLength(1);
    expect(sent[0]!.stored).toHaveLength(1);
  });

  test('when its request can’t be made at all', async () => {
    const store = webStorage();
    const { send, sent } = page(store, paid);
    // No header can hold this.
    expect(await caught(send(ADDRESS, { ...PAY, key: 'line\nbreak' }))).toBeInstanceOf(TypeError);
    expect([sent.length, store.items.size]).toEqual([0, 0]);
  });
});

describe('a name', () => {
  test('finds the open intent of that name, and its key', async () => {
    const store = webStorage();
    const before = page(store, lost);
    await caught(before.send(ADDRESS, { ...PAY, intent: 'cart-17' }));
    await caught(before.send(ADDRESS, { ...PAY, intent: 'cart-18' }));
    const after = page(store, paid);
    await after.send(ADDRESS, { ...PAY, intent: 'cart-17' });
    expect(after.sent[0]!.key).toBe(before.sent[0]!.key);
    // It is answered: the next one of that name is new.
    await after.send(ADDRESS, { ...PAY, intent: 'cart-17' });
    expect(after.sent[1]!.key).not.toBe(before.sent[0]!.key);
    expect(before.sent[1]!.key).not.toBe(before.sent[0]!.key);
  });

  test('that was sent before stays unknown when it is refused now', async () => {
    const store = webStorage();
    await caught(page(store, lost).send(ADDRESS, { ...PAY, intent: 'cart' }));
    expect(await caught(page(store, refused).send(ADDRESS, { ...PAY, intent: 'cart' }))).toMatchObject({
      reason: 'refused',
    });
    expect(store.items.size).toBe(1);
  });

  test('that was sent before stays open when another content of that name is told that the key is used', async () => {
    const store = webStorage();
    const before = page(store, lost);
    await caught(before.send(ADDRESS, { ...PAY, intent: 'cart' }));
    const reused = (): Response =>
      Response.json({ errors: [{ extensions: { code: 'IDEMPOTENCY_KEY_REUSED' } }] }, { status: 422 });
    expect(await caught(page(store, reused).send(ADDRESS, { ...PAY, intent: 'cart' }))).toMatchObject({
      reason: 'refused',
      received: { status: 422 },
    });
    const after = page(store, paid);
    expect(await after.send.resume()).toMatchObject([{ kind: 'answered' }]);
    expect(after.sent[0]!.key).toBe(before.sent[0]!.key);
    expect(store.items.size).toBe(0);
  });

  test('is open after a lost answer, though another tab was refused meanwhile', async () => {
    const store = webStorage();
    const [joined, settled] = [deferred(), deferred()];
    const sending = (fetch: typeof globalThis.fetch) =>
      idempotentFetch({ attempts: 1, budget: false, intents: createIntents(store), fetch });
    const refusing = sending(async () => {
      await joined.promise;
      return refused();
    });
    const losing = sending(async () => {
      joined.resolve();
      await settled.promise;
      return lost();
    });
    const first = refusing(ADDRESS, { ...PAY, intent: 'cart' });
    const second = caught(losing(ADDRESS, { ...PAY, intent: 'cart' }));
    expect((await first).status).toBe(401);
    settled.resolve();
    const { key } = (await second) as OutcomeUnknownError;
    expect(await createIntents(store).open()).toMatchObject([{ key, name: 'cart' }]);
  });

  test('does not change a key of the caller’s own', async () => {
    const store = webStorage();
    const before = page(store, lost);
    await caught(before.send(ADDRESS, { ...PAY, intent: 'cart' }));
    const after = page(store, lost);
    const headers = { ...PAY.headers, 'idempotency-key': 'own' };
    const error = await caught(after.send(ADDRESS, { ...PAY, headers, intent: 'cart' }));
    expect(after.sent[0]!.key).toBe('own');
    expect(error).toMatchObject({ key: 'own' });
    // And the other one is as open as it was.
    expect((await after.intents.open()).map(({ key }) => key)).toContain(before.sent[0]!.key);
  });
});

describe('storage that fails', () => {
  const broken = (verb: 'set' | 'remove' | 'ids') => ({
    ...slowStorage().storage,
    [verb]: () => {
      throw new Error(`no ${verb}`);
    },
  });
  const sending = (storage: ReturnType<typeof broken>, onStorageError?: (error: unknown) => void) => {
    const sent: unknown[] = [];
    const intents = createIntents({ storage, ...(onStorageError && { onStorageError }) });
    const send = idempotentFetch({ intents, fetch: async (url) => (sent.push(url), paid()) });
    return { send, sent };
  };

  test('costs the reload and not the payment', async () => {
    const told = vi.spyOn(console, 'warn').mockReturnValue();
    const { send, sent } = sending(broken('set'));
    expect((await send(ADDRESS, PAY)).status).toBe(200);
    expect(sent).toHaveLength(1);
    expect(told.mock.calls).toMatchObject([
      [expect.stringMatching(/could not be stored/), { message: 'no set' }],
    ]);
  });

  test('has nothing sent where `onStorageError` throws', async () => {
    const { send, sent } = sending(broken('set'), (error) => {
      throw error;
    });
    await expect(send(ADDRESS, PAY)).rejects.toThrow('no set');
    expect(sent).toHaveLength(0);
  });

  test('does not keep an answer from its caller', async () => {
    const told = vi.spyOn(console, 'warn').mockReturnValue();
    expect((await sending(broken('remove')).send(ADDRESS, PAY)).status).toBe(200);
    expect(told.mock.calls).toMatchObject([[expect.stringMatching(/could not be removed/), {}]]);
  });

  test('and can’t be searched sends no named intent: one of that name may be open', async () => {
    const { send, sent } = sending(broken('ids'));
    await expect(send(ADDRESS, { ...PAY, intent: 'cart' })).rejects.toThrow('no ids');
    expect(sent).toHaveLength(0);
    expect((await send(ADDRESS, PAY)).status).toBe(200);
  });
});

test('items of others are left alone, whatever they are called', async () => {
  const store = webStorage();
  const others: [string, string][] = [
    ['cart', '{"key":"x","startedAt":1}'],
    ['idempotency:', 'null'],
    ['idempotency:theirs', 'not JSON {'],
    ['idempotency:half', '{"key":"h"'],
    ['idempotency:text', '"text"'],
    ['idempotency:other', '{"key":5,"startedAt":"today"}'],
  ];
  for (const [id, text] of others) store.items.set(id, text);
  const { send, sent, intents } = page(store, paid);
  expect(await intents.open()).toEqual([]);
  expect(await send.resume()).toEqual([]);
  await send(ADDRESS, { ...PAY, intent: 'cart' });
  expect(sent).toHaveLength(1);
  expect([...store.items]).toEqual(others);
});

test('a prefix of one’s own keeps two sets of intents apart in one storage', async () => {
  const { storage, items } = webStorage();
  const [ours, theirs] = ['ours:', 'theirs:'].map((prefix) => createIntents({ storage, prefix }));
  const { intent } = await ours!.begin({ name: 'cart', request: 1 });
  expect(await theirs!.open()).toEqual([]);
  expect((await theirs!.begin({ name: 'cart', request: 1 })).intent.key).not.toBe(intent.key);
  expect([...items.keys()].map((id) => id.split(':')[0])).toEqual(['ours', 'theirs']);
});

test('a prefix that begins another one finds none of its intents: they may be another user’s', async () => {
  const { storage } = webStorage();
  const [everybody, alice] = ['pay:', 'pay:alice:'].map((prefix) => createIntents({ storage, prefix }));
  await alice!.begin({ name: 'cart', request: 1 });
  expect(await everybody!.open()).toEqual([]);
  expect(await alice!.open()).toHaveLength(1);
});
