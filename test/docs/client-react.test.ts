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
type Place = Container & { querySelector(selector: string): Button | null };
interface Button {
  readonly disabled: boolean;
  readonly textContent: string;
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
  const place = document.createElement('div');
  const root = createRoot(place);
  root.render(
    createElement(ApolloProvider, { client, children: createElement(PayButton, { amountCents: 5 }) }),
  );
  const button = await vi.waitUntil(() => place.querySelector('button'));
  /** The button can be pressed again and says this, when so much was sent. */
  const says = (text: string, sent: number): Promise<unknown> =>
    vi.waitUntil(() => keys.length === sent && !button.disabled && button.textContent === text, 10_000);

  button.click();
  button.click();
  await says('Pay', 1);

  // As many answers are lost as there are attempts.
  lost = 3;
  button.click();
  await says('Try again', 4);
  button.click();
  await says('Pay', 5);
  expect(new Set(keys).size).toBe(2);
  expect(keys[4]).toBe(keys[1]);
  root.unmount();
});
