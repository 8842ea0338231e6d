/** The hook against a real server: whatever the network does, one intent is one payment. */

import './support/dom.ts';
import { act } from 'react';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { startService } from '../../support/service.ts';
import type { Service } from '../../support/service.ts';
import { click, createClient, renderPay, settled } from './support/pay.ts';
import type { PayHook } from './support/pay.ts';

let database: TestDatabase;
let service: Service;
let before: number;

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  service = await startService({ databaseUrl: database.url });
});
beforeEach(async () => {
  before = (await service.payments()).length;
});
afterAll(async () => {
  await service?.stop();
  await database?.drop();
});

/** How many payments were made in this test. */
const payments = async (): Promise<number> => (await service.payments()).length - before;

/** A network that loses the next answers, after the server has sent them. */
function losing(answers: number): typeof fetch {
  let left = answers;
  return async (...request) => {
    const response = await fetch(...request);
    await response.clone().text();
    left -= 1;
    if (left >= 0) throw new TypeError('fetch failed');
    return response;
  };
}

function render(fetch: typeof globalThis.fetch, retries: { attempts: number } | false): Promise<PayHook> {
  const headers = { authorization: 'Bearer alice' };
  return renderPay(createClient({ fetch, uri: service.url, headers, retries }));
}

describe.each([
  ['with retryLink', { attempts: 1 }],
  ['without retryLink', false],
] as const)('%s', (_, retries) => {
  test('a double click is one payment', async () => {
    const hook = await render(losing(0), retries);
    const [first, second] = [await click(hook), await click(hook)];
    await settled(first);
    expect(await second.promise).toBe(await first.promise);
    expect(hook.current()[1].status).toEqual({ state: 'done', replayed: false });
    expect(await payments()).toBe(1);
  });

  test('a lost answer and another click are one payment', async () => {
    const hook = await render(losing(1), retries);
    await settled(await click(hook));
    expect(hook.current()[1].status.state).toBe('unknown');
    await settled(await click(hook));
    expect(hook.current()[1].status).toEqual({ state: 'done', replayed: true });
    expect(await payments()).toBe(1);
  });

  test('a lost answer and a click with another amount are one payment', async () => {
    const hook = await render(losing(1), retries);
    await settled(await click(hook));
    await settled(await click(hook, { variables: { amount: 200 } }));
    expect(hook.current()[1].status.state).toBe('unknown');
    expect(JSON.stringify(hook.current()[1].status)).toContain('IDEMPOTENCY_KEY_REUSED');
    expect(await payments()).toBe(1);
    // The amount that was sent first finds its answer; then another one is a payment of its own.
    await settled(await click(hook));
    expect(hook.current()[1].status).toEqual({ state: 'done', replayed: true });
    await settled(await click(hook, { variables: { amount: 200 } }));
    expect(hook.current()[1].status).toEqual({ state: 'done', replayed: false });
    expect(await payments()).toBe(2);
  });

  test('two clicks with an answer in between are two payments', async () => {
    const hook = await render(losing(0), retries);
    await settled(await click(hook));
    await settled(await click(hook));
    expect(await payments()).toBe(2);
  });

  test('a lost answer, reset and another click are two payments', async () => {
    const hook = await render(losing(1), retries);
    await settled(await click(hook));
    await act(async () => hook.current()[1].reset());
    await settled(await click(hook));
    expect(await payments()).toBe(2);
  });
});

test('one click over a network that loses two answers is one payment, replayed', async () => {
  const hook = await render(losing(2), { attempts: 3 });
  await settled(await click(hook));
  expect(hook.current()[1].status).toEqual({ state: 'done', replayed: true });
  expect(await payments()).toBe(1);
});
