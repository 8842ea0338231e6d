/** Intents behind Apollo's links: what is stored when, and what is left of it when things go wrong. */

import { ApolloClient, ApolloLink, InMemoryCache } from '@apollo/client';
import { retry, tap } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { createIntents } from 'graphql-idempotency/client';
import { idempotencyLink, retryLink } from 'graphql-idempotency/client/apollo';
import { deferred, eventually } from '../../support/signal.ts';
import { BARE_PAY, FAST, clientOf, failureOf } from './client.ts';
import { memory } from '../support/storages.ts';
import { slowMemory } from './slow-memory.ts';
import { ONCE, http, page, pay, signedOut, stored } from './page.ts';
import { answer, lost, paid, refused, scriptedFetch, silent } from './scripted-fetch.ts';
import type { Script } from './scripted-fetch.ts';
import { scriptedLink } from './scripted-link.ts';

describe('an intent', () => {
  test('is stored before the first send, and gone before anybody has the answer', async () => {
    const storage = memory();
    const { fetch, asked } = scriptedFetch((request) => {
      expect(stored(storage)).toMatchObject([{ key: request.key, name: 'cart-1' }]);
      return paid(request);
    });
    const left: unknown[] = [];
    const look = (): void => void left.push(...stored(storage));
    const watched = new ApolloLink((operation, forward) => forward(operation).pipe(tap({ next: look })));
    const intents = createIntents({ storage });
    const client = clientOf(watched, idempotencyLink({ intents }), retryLink(ONCE), http(fetch));
    await pay(client, { idempotency: { intent: 'cart-1' } });
    look();
    expect(asked).toHaveLength(1);
    expect(left).toEqual([]);
  });

  test('is not sent before a slow storage has it, nor answered before it has let go of it', async () => {
    const slow = slowMemory();
    const { fetch, asked } = scriptedFetch(paid);
    let answered = false;
    const result = pay(page(slow.storage, fetch).client).then(() => (answered = true));
    await slow.setting.promise;
    expect(asked).toHaveLength(0);
    slow.maySet.resolve();
    await slow.removing.promise;
    expect({ asked: asked.length, answered }).toEqual({ asked: 1, answered: false });
    slow.mayRemove.resolve();
    await result;
    expect(slow.items.size).toBe(0);
  });

  test.each<readonly [string, Script, boolean]>([
    ['an answer', paid, false],
    ['an error of the resolver', answer({ data: { pay: null }, errors: [{ message: 'no' }] }), false],
    ['KEY_REUSED', refused('IDEMPOTENCY_KEY_REUSED', { status: 422 }), false],
    ['a refusal of its only attempt', signedOut, false],
    ['a lost answer', lost, true],
    ['a page with 502', answer('<html>', { status: 502, type: 'text/html' }), true],
    ['IN_PROGRESS', refused('IDEMPOTENCY_IN_PROGRESS', { status: 409 }), true],
    ['IN_PROGRESS in a result', refused('IDEMPOTENCY_IN_PROGRESS'), true],
  ])('after %s, with retryLink or without: is it still open? %#', async (_, script, open) => {
    for (const retries of [[retryLink(ONCE)], []]) {
      const storage = memory();
      const { fetch, asked } = scriptedFetch(script);
      await pay(page(storage, fetch, retries).client).catch(() => undefined);
      expect(stored(storage).map(({ key }) => key)).toEqual(open ? [asked[0]!.key] : []);
    }
  });

  test('is open after a refusal that followed a lost answer', async () => {
    const storage = memory();
    const { fetch } = scriptedFetch(lost, signedOut);
    const error = await failureOf(pay(page(storage, fetch, [retryLink(FAST)]).client));
    expect(error).toMatchObject({ reason: 'refused', key: stored(storage)[0]!.key });
  });

  test('is open after a refusal of a key that the caller has sent before', async () => {
    for (const retries of [[retryLink(ONCE)], []]) {
      const storage = memory();
      const { client } = page(storage, scriptedFetch(signedOut).fetch, retries);
      await failureOf(pay(client, { idempotency: { key: 'sent-before', sentBefore: true } }));
      expect(stored(storage)).toMatchObject([{ key: 'sent-before' }]);
    }
  });

  test('is not made for a query, nor for a mutation that is not guarded', async () => {
    const storage = memory();
    const { fetch } = scriptedFetch((request) => {
      expect(storage.items.size).toBe(0);
      return paid(request);
    });
    const intents = createIntents({ storage });
    await pay(clientOf(idempotencyLink({ intents, guarded: () => false }), http(fetch)));
  });

  test('keeps neither headers nor anything else of the context', async () => {
    const storage = memory();
    const { fetch } = scriptedFetch(lost);
    await failureOf(pay(page(storage, fetch).client, { headers: { authorization: 'Bearer secret' } }));
    expect([...storage.items.values()].join()).not.toContain('secret');
  });
});

describe('whoever gives up', () => {
  const subscribe = (link: ApolloLink): { unsubscribe(): void } => {
    const client = new ApolloClient({ cache: new InMemoryCache(), link: ApolloLink.empty() });
    return ApolloLink.execute(link, { query: BARE_PAY }, { client }).subscribe(() => undefined);
  };

  test.each([[[retryLink(ONCE)]], [[]]])(
    'in flight leaves the intent open',
    async (retries: ApolloLink[]) => {
      const storage = memory();
      const end = scriptedLink();
      const link = ApolloLink.from([
        idempotencyLink({ intents: createIntents({ storage }) }),
        ...retries,
        end.link,
      ]);
      const subscription = subscribe(link);
      const arrival = await end.arrival(1);
      subscription.unsubscribe();
      expect(arrival.left).toBe(true);
      // What is said now is nobody's, and settles nothing.
      arrival.observer.next({ data: { pay: null } });
      await new Promise(setImmediate);
      expect(stored(storage)).toHaveLength(1);
    },
  );

  test('before it is sent leaves nothing sent and no intent', async () => {
    const slow = slowMemory();
    const end = scriptedLink();
    const intents = createIntents({ storage: slow.storage });
    const subscription = subscribe(
      ApolloLink.from([idempotencyLink({ intents }), retryLink(ONCE), end.link]),
    );
    await slow.setting.promise;
    subscription.unsubscribe();
    slow.maySet.resolve();
    await slow.removing.promise;
    slow.mayRemove.resolve();
    await eventually(() => slow.items.size === 0);
    expect(end.arrivals).toHaveLength(0);
  });

  test.each([[[retryLink(ONCE)]], [[]]])(
    'by a signal before it is sent leaves nothing sent and no intent',
    async (retries: ApolloLink[]) => {
      const storage = memory();
      const { fetch, asked } = scriptedFetch(paid);
      const signal = AbortSignal.abort(new Error('changed my mind'));
      const failure = failureOf(pay(page(storage, fetch, retries).client, { fetchOptions: { signal } }));
      expect(await failure).toEqual(new Error('changed my mind'));
      expect({ asked: asked.length, stored: stored(storage) }).toEqual({ asked: 0, stored: [] });
    },
  );

  test('by a signal before an open intent is sent again leaves it open, and unknown', async () => {
    for (const retries of [[retryLink(ONCE)], []]) {
      const storage = memory();
      const { fetch, asked } = scriptedFetch(lost, paid);
      const { client } = page(storage, fetch, retries);
      const idempotency = { intent: 'cart' };
      await failureOf(pay(client, { idempotency }));
      const signal = AbortSignal.abort(new Error('changed my mind'));
      const error = await failureOf(pay(client, { idempotency, fetchOptions: { signal } }));
      const [open] = stored(storage);
      expect(error).toMatchObject({
        name: 'OutcomeUnknownError',
        reason: 'aborted',
        attempts: 0,
        key: open!.key,
      });
      expect(asked).toHaveLength(1);
    }
  });

  test('by a signal in flight leaves the intent open', async () => {
    const storage = memory();
    const sent = deferred();
    const { fetch, keys } = scriptedFetch((request) => {
      sent.resolve();
      return silent(request);
    });
    const controller = new AbortController();
    const { signal } = controller;
    const failure = failureOf(pay(page(storage, fetch).client, { fetchOptions: { signal } }));
    await sent.promise;
    controller.abort();
    expect(await failure).toMatchObject({ reason: 'aborted' });
    expect(stored(storage).map(({ key }) => key)).toEqual(keys());
  });
});

describe('a link above that subscribes again', () => {
  test('sends the same key again, and leaves no second intent', async () => {
    for (const keyIn of ['header', 'extensions', 'directive'] as const) {
      const storage = memory();
      const { fetch, asked } = scriptedFetch(lost, lost, paid);
      const link = idempotencyLink({ intents: createIntents({ storage }), keyIn });
      const again = new ApolloLink((operation, forward) => forward(operation).pipe(retry(2)));
      const told: string[] = [];
      await pay(clientOf(again, link, http(fetch)), {
        idempotency: { onKey: (key: string) => told.push(key) },
      });
      const sent = asked.map(({ key, body }) => [key, body.extensions?.['idempotencyKey'], body.variables]);
      expect(sent).toHaveLength(3);
      expect(sent.slice(1)).toEqual([sent[0], sent[0]]);
      expect(new Set(told).size).toBe(1);
      expect(stored(storage)).toEqual([]);
    }
  });
});

test('a key in a header is the stored one, whatever the context calls it: the server saw no other', async () => {
  const storage = memory();
  const { fetch, keys } = scriptedFetch(lost);
  const context = { headers: { 'Idempotency-Key': 'sent' }, idempotency: { key: 'of the hook' } };
  expect(await failureOf(pay(page(storage, fetch).client, context))).toMatchObject({ key: 'sent' });
  expect(stored(storage)).toMatchObject([{ key: 'sent' }]);
  expect(keys()).toEqual(['sent']);
});

test('a name has one open intent, and a new one after its answer', async () => {
  const storage = memory();
  const { fetch, asked } = scriptedFetch(lost, lost, paid, paid);
  const { client } = page(storage, fetch);
  const idempotency = { intent: 'cart' };
  await failureOf(pay(client, { idempotency }));
  await failureOf(pay(client, { idempotency }));
  await pay(client, { idempotency });
  await pay(client, { idempotency });
  const [first, second, third, next] = asked.map(({ key }) => key);
  expect([second, third]).toEqual([first, first]);
  expect(next).not.toBe(first);
});

test('a refusal of one tab does not cost another one its open intent', async () => {
  const storage = memory();
  const [otherSent, refusal] = [deferred(), deferred()];
  const first = scriptedFetch(async (asked) => {
    await otherSent.promise;
    return signedOut(asked);
  });
  const second = scriptedFetch(async (asked) => {
    otherSent.resolve();
    await refusal.promise;
    return lost(asked);
  }, paid);
  const tabs = [page(storage, first.fetch), page(storage, second.fetch)] as const;
  const idempotency = { intent: 'cart' };
  const failures = tabs.map(({ client }) => failureOf(pay(client, { idempotency })));
  await failures[0];
  refusal.resolve();
  const key = first.keys()[0];
  expect(await failures[1]).toMatchObject({ name: 'OutcomeUnknownError', key });
  expect(stored(storage)).toMatchObject([{ key, name: 'cart' }]);
  await pay(tabs[1].client, { idempotency });
  expect(second.keys()).toEqual([key]);
});
