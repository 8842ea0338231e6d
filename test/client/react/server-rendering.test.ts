/** The hook where there is no browser. */

import { ApolloProvider } from '@apollo/client/react';
import { createElement } from 'react';
import type { ReactNode } from 'react';
import { renderToString } from 'react-dom/server';
import { expect, test, vi } from 'vitest';
import { createClient, usePay } from './support/pay.ts';
import { createWire } from './support/wire.ts';

test('renders on a server, idle, without a complaint', () => {
  const complain = vi.spyOn(console, 'error');
  const Host = (): ReactNode => usePay({ intent: 'cart-1' })[1].status.state;
  const client = createClient(createWire());
  expect(renderToString(createElement(ApolloProvider, { client, children: createElement(Host) }))).toBe(
    'idle',
  );
  expect(complain).not.toHaveBeenCalled();
});
