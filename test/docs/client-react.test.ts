/** The component on the page about the client: a double click pays once, an unknown outcome is tried again. */

import '../client/react/support/dom.ts';
import { ApolloProvider } from '@apollo/client/react';
import { createElement } from 'react';
import type { ComponentType } from 'react';
import { createRoot } from 'react-dom/client';
import type { Container } from 'react-dom/client';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeModules } from './modules.ts';

/** The little that is used of an element; the library has no types of the browser. */
type Place = Container & {
  readonly textContent: string | null;
  querySelector(selector: string): Button | null;
};
interface Button {
  click(): void;
}

const modules = writeModules();
const keys: (string | null)[] = [];
let lost = 0;

beforeAll(() => {
  vi.stubEnv('DATABASE_URL', 'postgres://127.0.0.1:1/unused');
});
afterAll(() => {
  modules.remove();
  vi.unstubAllEnvs();
});

test('pay-button.tsx: two clicks are one payment, and after no answer the same key is sent again', async () => {
  const { PayButton } = await modules.load<{ PayButton: ComponentType<{ amountCents: number }> }>(
    'pay-button.tsx',
  );
  const { client, page } = await import('./shop-client.ts');
  page.fetch = async (_, init) => {
    keys.push(new Headers(init?.headers).get('idempotency-key'));
    if (lost > 0) {
      lost -= 1;
      throw new TypeError('fetch failed');
    }
    return Response.json({ data: { charge: { __typename: 'Payment', id: '1' } } });
  };
  const { document } = globalThis as unknown as { document: { createElement(name: string): Place } };
  async function show(): Promise<{ readonly place: Place; readonly button: Button }> {
    const place = document.createElement('div');
    const children = createElement(PayButton, { amountCents: 5 });
    createRoot(place).render(createElement(ApolloProvider, { client, children }));
    return { place, button: await vi.waitUntil(() => place.querySelector('button'), 10_000) };
  }
  const says = (place: Place, text: string): Promise<unknown> =>
    vi.waitUntil(() => place.textContent === text, 10_000);

  const first = await show();
  first.button.click();
  first.button.click();
  await says(first.place, 'Paid.');
  expect(keys).toHaveLength(1);

  // As many answers are lost as there are attempts.
  lost = 3;
  const second = await show();
  second.button.click();
  await says(second.place, 'Try again');
  second.button.click();
  await says(second.place, 'Paid.');
  expect(keys).toHaveLength(5);
  expect(new Set(keys).size).toBe(2);
  expect(keys[4]).toBe(keys[1]);
});
