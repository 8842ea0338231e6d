/** What a page that is made anew does with the intents of the one before. */

import { gql } from '@apollo/client';
import { describe, expect, test } from 'vitest';
import { createIntents } from 'graphql-idempotency/client';
import { idempotencyLink, resumeIntents, retryLink } from 'graphql-idempotency/client/apollo';
import { clientOf, failureOf } from './client.ts';
import { memory } from '../support/storages.ts';
import { ONCE, http, page, pay, signedOut, stored } from './page.ts';
import { answer, lost, paid, refused, scriptedFetch } from './scripted-fetch.ts';
import type { Script } from './scripted-fetch.ts';

const remembered = answer({
  data: { pay: null },
  errors: [{ message: 'no', extensions: { code: 'FORBIDDEN' } }],
  extensions: { idempotency: { pay: { outcome: 'replayed' } } },
});

describe('after a reload', () => {
  test('an intent that nobody can read is unknown, and stays', async () => {
    const intents = createIntents({ storage: memory() });
    await intents.begin({ request: null });
    const client = clientOf(idempotencyLink({ intents }), http(scriptedFetch(paid).fetch));
    expect(await resumeIntents(client, intents)).toMatchObject([{ kind: 'unknown' }]);
    expect(await intents.open()).toHaveLength(1);
  });

  test('what was open is sent again with its own key, as it was', async () => {
    const mutation = gql`
      mutation Pay($amount: Int!) {
        pay(amount: $amount) {
          id
        }
      }
    `;
    for (const keyIn of ['header', 'extensions', 'directive'] as const) {
      const storage = memory();
      const before = scriptedFetch(lost);
      const old = clientOf(
        idempotencyLink({ intents: createIntents({ storage }), keyIn }),
        retryLink(ONCE),
        http(before.fetch),
      );
      await failureOf(old.mutate({ mutation, variables: { amount: 7 } }));
      const after = scriptedFetch(paid);
      const intents = createIntents({ storage });
      const client = clientOf(idempotencyLink({ intents, keyIn }), retryLink(ONCE), http(after.fetch));
      const resumed = await resumeIntents(client, intents);
      expect(resumed).toMatchObject([{ kind: 'answered', answer: { data: { pay: { id: '1' } } } }]);
      const [first, again] = [before.asked[0]!, after.asked[0]!];
      expect([again.key, again.body]).toEqual([first.key, first.body]);
      expect(storage.items.size).toBe(0);
    }
  });

  test.each<readonly [string, Script, string, string | undefined, boolean]>([
    ['an answer', paid, 'answered', undefined, false],
    ['KEY_EXPIRED', refused('IDEMPOTENCY_KEY_EXPIRED', { status: 410 }), 'failed', undefined, false],
    ['a refusal that was stored as the outcome', remembered, 'failed', undefined, false],
    ['a lost answer', lost, 'unknown', 'attempts', true],
    ['IN_PROGRESS', refused('IDEMPOTENCY_IN_PROGRESS'), 'unknown', 'attempts', true],
    ['a user who is signed out', signedOut, 'unknown', 'refused', true],
  ])('resuming ends with %s, with retryLink or without', async (_, script, kind, reason, open) => {
    for (const retries of [[retryLink(ONCE)], []]) {
      for (const errorPolicy of ['none', 'all', 'ignore'] as const) {
        const storage = memory();
        await failureOf(pay(page(storage, scriptedFetch(lost).fetch, retries).client));
        const [intent] = stored(storage);
        const { intents, client } = page(storage, scriptedFetch(script).fetch, retries);
        // Applications say this with a type declaration of their own.
        client.defaultOptions = { mutate: { errorPolicy: errorPolicy as never } };
        const [resumed] = await resumeIntents(client, intents);
        expect(resumed).toMatchObject({ kind, intent: { key: intent!.key } });
        if (reason !== undefined) expect(resumed).toMatchObject({ error: { reason, key: intent!.key } });
        expect(storage.items.size).toBe(open ? 1 : 0);
      }
    }
  });

  test('a refusal of the next click, of the same name, settles nothing', async () => {
    for (const retries of [[retryLink(ONCE)], []]) {
      const storage = memory();
      const key = `of-the-page-before-${retries.length}`;
      storage.setItem(`idempotency:${key}`, JSON.stringify({ key, name: 'cart', startedAt: Date.now() }));
      const { fetch, keys } = scriptedFetch(signedOut);
      const error = await failureOf(
        pay(page(storage, fetch, retries).client, { idempotency: { intent: 'cart' } }),
      );
      if (retries.length > 0) expect(error).toMatchObject({ reason: 'refused', key });
      expect(keys()).toEqual([key]);
      expect(stored(storage)).toMatchObject([{ key }]);
    }
  });

  test('one that fails does not keep the others from being sent', async () => {
    const storage = memory();
    const old = page(storage, scriptedFetch(lost).fetch).client;
    for (let count = 0; count < 3; count += 1) await failureOf(pay(old));
    const { fetch, keys } = scriptedFetch(paid, lost, paid);
    const { intents, client } = page(storage, fetch);
    const resumed = await resumeIntents(client, intents);
    expect(resumed.map(({ kind }) => kind)).toEqual(['answered', 'unknown', 'answered']);
    expect(keys()).toHaveLength(3);
  });

  test('a document with a key of its own is sent with that one', async () => {
    const storage = memory();
    const mutation = gql`
      mutation ($key: String!) {
        pay @idempotent(key: $key) {
          id
        }
      }
    `;
    const variables = { key: 'own' };
    await failureOf(page(storage, scriptedFetch(lost).fetch).client.mutate({ mutation, variables }));
    expect(stored(storage)).toMatchObject([{ key: 'own' }]);
    const { fetch, asked } = scriptedFetch(paid);
    const { intents, client } = page(storage, fetch);
    await resumeIntents(client, intents);
    expect(asked).toMatchObject([{ key: null, body: { variables } }]);
    expect(storage.items.size).toBe(0);
  });
});
