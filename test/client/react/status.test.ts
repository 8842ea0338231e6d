// @vitest-environment happy-dom
/** What `status` tells of an intent, from the first attempt to the last word. */

import { CombinedGraphQLErrors } from '@apollo/client/errors';
import { act } from 'react';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { OutcomeUnknownError } from 'graphql-idempotency/client';
import { click, createClient, renderPay, settled } from './support/pay.ts';
import { createWire, outcome, paid, refused } from './support/wire.ts';

afterEach(() => {
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test('nothing was asked yet', async () => {
  const hook = await renderPay(createClient(createWire()));
  expect(hook.current()[1]).toMatchObject({ status: { state: 'idle' }, key: undefined, called: false });
});

test('sending, with the number of the attempt; retrying, with the time of the next one; then done', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const wire = createWire();
  const hook = await renderPay(createClient({ ...wire, retries: { attempts: 3, baseDelayMs: 8000 } }));
  const call = await click(hook);
  expect(hook.current()[1].status).toEqual({ state: 'sending', attempt: 1 });

  const lostAt = Date.now();
  await act(async () => wire.sent[0]!.lose());
  expect(hook.current()[1].status).toEqual({
    state: 'retrying',
    attempt: 2,
    nextTryAt: lostAt + 4000,
    delayMs: 4000,
  });
  expect(hook.current()[1].loading).toBe(true);
  await act(() => vi.advanceTimersByTimeAsync(3999));
  expect(hook.current()[1].status.state).toBe('retrying');
  await act(() => vi.advanceTimersByTimeAsync(1));
  expect(hook.current()[1].status).toEqual({ state: 'sending', attempt: 2 });

  await settled(call, () => wire.sent[1]!.answer(outcome('replayed')));
  expect(hook.current()[1]).toMatchObject({
    status: { state: 'done', replayed: true },
    data: paid.data,
    loading: false,
    error: undefined,
  });
  expect(wire.sent[1]!.key).toBe(wire.sent[0]!.key);
});

test('unknown, with the error and the key to send again', async () => {
  const wire = createWire();
  const hook = await renderPay(createClient({ ...wire, retries: { attempts: 1 } }));
  const error = await settled(await click(hook), () => wire.sent[0]!.lose());
  expect(error).toBeInstanceOf(OutcomeUnknownError);
  expect(hook.current()[1]).toMatchObject({
    status: { state: 'unknown', key: wire.sent[0]!.key, error },
    error,
    loading: false,
  });
});

test('failed, with the error that settled it', async () => {
  const wire = createWire();
  const hook = await renderPay(createClient(wire));
  const error = await settled(await click(hook), () => wire.sent[0]!.answer(refused('CARD_DECLINED'), 402));
  expect(error).toBeInstanceOf(CombinedGraphQLErrors);
  expect(hook.current()[1].status).toEqual({ state: 'failed', error });
});

test('sending again after done starts with the first attempt', async () => {
  const wire = createWire();
  const hook = await renderPay(createClient(wire));
  await settled(await click(hook), () => wire.sent[0]!.answer(paid));
  await click(hook);
  expect(hook.current()[1].status).toEqual({ state: 'sending', attempt: 1 });
});

test('no render shows the answer of one call with the status of another', async () => {
  const wire = createWire();
  const hook = await renderPay(createClient({ ...wire, retries: { attempts: 1 } }));
  // Without `act`, renders come as they do in a browser.
  globalThis.IS_REACT_ACT_ENVIRONMENT = false;
  for (const happen of [
    () => wire.sent[0]!.answer(paid),
    () => wire.sent[1]!.lose(),
    () => wire.sent[2]!.answer(paid),
  ]) {
    const call = hook.current()[0]({ variables: { amount: 100 } });
    await vi.waitFor(() => expect(hook.current()[1].status.state).toBe('sending'), 10_000);
    happen();
    await call.catch(() => undefined);
    await vi.waitFor(() => expect(hook.current()[1].status.state).not.toBe('sending'), 10_000);
  }
  const seen = hook.renders.map(([, { status, loading, data, error }]) =>
    [status.state, loading && 'loading', data && 'data', error && 'error'].filter(Boolean).join(' '),
  );
  expect(new Set(seen)).toEqual(new Set(['idle', 'sending loading', 'done data', 'unknown error']));
});

describe('replayed', () => {
  const answered = async (extensions: object | undefined): Promise<unknown> => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire));
    await settled(await click(hook), () => wire.sent[0]!.answer({ ...paid, extensions }));
    return hook.current()[1].status;
  };

  test('is what the server says', async () => {
    expect(await answered({ idempotency: { pay: { outcome: 'replayed' } } })).toEqual({
      state: 'done',
      replayed: true,
    });
    expect(await answered({ idempotency: { pay: { outcome: 'executed' } } })).toEqual({
      state: 'done',
      replayed: false,
    });
  });

  test('needs all guarded fields to be replayed', async () => {
    expect(
      await answered({ idempotency: { pay: { outcome: 'replayed' }, ship: { outcome: 'executed' } } }),
    ).toEqual({ state: 'done', replayed: false });
  });

  test.each([undefined, {}, { idempotency: {} }, { idempotency: null }, { idempotency: { pay: null } }])(
    'is false for a server that does not say it: %j',
    async (extensions) => {
      expect(await answered(extensions)).toEqual({ state: 'done', replayed: false });
    },
  );
});

test('an answer to a mutation that went out without its key is complained about', async () => {
  const complain = vi.spyOn(console, 'error').mockReturnValue();
  const wire = createWire();
  const { ApolloClient, HttpLink, InMemoryCache } = await import('@apollo/client');
  const link = new HttpLink({ uri: 'http://shop/', fetch: wire.fetch });
  const hook = await renderPay(new ApolloClient({ cache: new InMemoryCache(), link }));
  await settled(await click(hook), () => wire.sent[0]!.answer(paid));
  expect(complain).toHaveBeenCalledWith(expect.stringContaining('idempotencyLink()'));
});
