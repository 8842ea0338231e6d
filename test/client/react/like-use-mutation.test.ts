// @vitest-environment happy-dom
/** What the hook keeps of `useMutation`: promises, callbacks, error policies, and how it lives with React. */

import { act, useEffect, useLayoutEffect } from 'react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { IdempotencyContext } from 'graphql-idempotency/client/apollo';
import type { PayResult } from './support/pay.ts';
import { PAY, click, createClient, renderPay, settled, usePay } from './support/pay.ts';
import { renderHook } from './support/render.ts';
import { createWire, outcome, paid, refused } from './support/wire.ts';

let complain: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  complain = vi.spyOn(console, 'error');
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe('the promise', () => {
  test('resolves with data and extensions', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire));
    const call = await click(hook);
    await settled(call, () => wire.sent[0]!.answer(outcome('executed')));
    expect(await call.promise).toMatchObject(outcome('executed'));
  });

  test('rejects with the error, with onError too', async () => {
    const wire = createWire();
    const onError = vi.fn();
    const hook = await renderPay(createClient(wire), { onError });
    const error = await settled(await click(hook), () => wire.sent[0]!.answer(refused('NO'), 400));
    expect(error).toBeInstanceOf(Error);
    expect(onError).toHaveBeenCalledTimes(1);
    expect(onError.mock.calls[0]![0]).toBe(error);
  });

  test('that rejects and that nobody looks at is no unhandled rejection', async () => {
    const wire = createWire();
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const hook = await renderPay(createClient({ ...wire, retries: { attempts: 1 } }));
    await act(async () => void hook.current()[0]({ variables: { amount: 1 } }));
    await act(async () => wire.sent[0]!.lose());
    await vi.waitFor(() => expect(hook.current()[1].status.state).toBe('unknown'), 10_000);
    // Rejections are reported when the microtasks are done.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe('callbacks', () => {
  test('onCompleted gets the data and what was asked', async () => {
    const wire = createWire();
    const onCompleted = vi.fn();
    const hook = await renderPay(createClient(wire), { onCompleted });
    await settled(await click(hook), () => wire.sent[0]!.answer(paid));
    expect(onCompleted).toHaveBeenCalledTimes(1);
    expect(onCompleted).toHaveBeenCalledWith(
      paid.data,
      expect.objectContaining({ variables: { amount: 100 }, mutation: PAY }),
    );
  });

  test('of a call come before those of the hook', async () => {
    const wire = createWire();
    const ofHook = vi.fn();
    const ofCall = vi.fn();
    const hook = await renderPay(createClient(wire), { onCompleted: ofHook });
    const call = await click(hook, { variables: { amount: 100 }, onCompleted: ofCall });
    await settled(call, () => wire.sent[0]!.answer(paid));
    expect(ofCall).toHaveBeenCalledTimes(1);
    expect(ofHook).not.toHaveBeenCalled();
  });

  test('are those of the last render', async () => {
    const wire = createWire();
    const early = vi.fn();
    const late = vi.fn();
    const hook = await renderPay(createClient(wire), { onCompleted: early });
    const call = await click(hook);
    await hook.rerender({ onCompleted: late });
    await settled(call, () => wire.sent[0]!.answer(paid));
    expect(late).toHaveBeenCalledTimes(1);
    expect(early).not.toHaveBeenCalled();
  });

  test('that throw reject the promise, and the intent stays settled', async () => {
    const wire = createWire();
    const thrown = new Error('of the caller');
    const hook = await renderPay(createClient(wire), {
      onCompleted: () => {
        throw thrown;
      },
    });
    expect(await settled(await click(hook), () => wire.sent[0]!.answer(paid))).toBe(thrown);
    expect(hook.current()[1].status.state).toBe('done');
    await click(hook);
    expect(wire.sent[1]!.key).not.toBe(wire.sent[0]!.key);
  });

  test('in the context hear what the status shows', async () => {
    const wire = createWire();
    const heard: unknown[] = [];
    const idempotency: IdempotencyContext = {
      onKey: (key) => heard.push(['key', key]),
      onAttempt: (attempt) => heard.push(['attempt', attempt]),
      onRetry: ({ attempt }) => heard.push(['retry', attempt]),
    };
    const hook = await renderPay(createClient(wire), { context: { idempotency, tenant: 7 } });
    const call = await click(hook);
    await act(async () => wire.sent[0]!.lose());
    const again = await act(() => wire.request(1));
    await settled(call, () => again.answer(paid));
    expect(heard).toEqual([
      ['key', again.key],
      ['attempt', 1],
      ['retry', 2],
      ['attempt', 2],
    ]);
  });

  test('context of a call may build upon that of the hook', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire), { context: { idempotency: { key: 'of-the-hook' } } });
    const context = vi.fn(() => ({ idempotency: { key: 'of-the-call' } }));
    await click(hook, { variables: { amount: 1 }, context });
    expect(context).toHaveBeenCalledWith({ idempotency: { key: 'of-the-hook' } });
    expect(wire.sent[0]!.key).toBe('of-the-call');
  });
});

describe('error policies', () => {
  test('"all" resolves with the error, and the status tells whether it settles', async () => {
    const wire = createWire();
    const onError = vi.fn();
    const client = createClient({ ...wire, retries: { attempts: 1 } });
    const hook = await renderPay(client, { errorPolicy: 'all', onError });
    const lost = await click(hook);
    expect(await settled(lost, () => wire.sent[0]!.lose())).toBeUndefined();
    const { error } = await lost.promise;
    expect(hook.current()[1].status).toEqual({ state: 'unknown', key: wire.sent[0]!.key, error });

    const declined = await click(hook);
    expect(wire.sent[1]!.key).toBe(wire.sent[0]!.key);
    const errors = [{ message: 'declined', path: ['pay'] }];
    await settled(declined, () => wire.sent[1]!.answer({ data: { pay: null }, errors }));
    expect(hook.current()[1].status).toMatchObject({ state: 'failed', error: { message: 'declined' } });
    expect(hook.current()[1].data).toEqual({ pay: null });
    expect(onError).toHaveBeenCalledTimes(2);
  });

  test('"ignore" takes an answer without data for unknown', async () => {
    const wire = createWire();
    const client = createClient({ ...wire, retries: { attempts: 1 } });
    const hook = await renderPay(client, { errorPolicy: 'ignore' });
    await settled(await click(hook), () => wire.sent[0]!.lose());
    expect(hook.current()[1].status).toMatchObject({ state: 'unknown', key: wire.sent[0]!.key });
    const errors = [{ message: 'declined', path: ['pay'] }];
    await settled(await click(hook), () => wire.sent[1]!.answer({ data: { pay: null }, errors }));
    expect(wire.sent[1]!.key).toBe(wire.sent[0]!.key);
    expect(hook.current()[1].status.state).toBe('done');
  });
});

describe('in React', () => {
  test('mutate and reset stay the same functions', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire), { intent: 'one' });
    await hook.rerender({ intent: 'two', onError: () => undefined });
    await settled(await click(hook), () => wire.sent[0]!.answer(paid));
    expect(new Set(hook.renders.map(([mutate]) => mutate)).size).toBe(1);
    expect(new Set(hook.renders.map(([, { reset }]) => reset)).size).toBe(1);
  });

  test('StrictMode’s second effects are harmless', async () => {
    const wire = createWire();
    const client = createClient({ ...wire, retries: { attempts: 1 } });
    const hook = await renderPay(client, { strict: true });
    const first = await click(hook);
    expect((await click(hook)).promise).toBe(first.promise);
    expect(hook.current()[1].status).toEqual({ state: 'sending', attempt: 1 });
    await settled(first, () => wire.sent[0]!.lose());
    expect(hook.current()[1].status.state).toBe('unknown');
    await settled(await click(hook), () => wire.sent[1]!.answer(paid));
    expect(hook.current()[1].status.state).toBe('done');
    expect(wire.sent[1]!.key).toBe(wire.sent[0]!.key);
    expect(wire.sent).toHaveLength(2);
    expect(complain).not.toHaveBeenCalled();
  });

  test.each([false, true])('the call goes on when the component is gone, StrictMode %s', async (strict) => {
    const wire = createWire();
    const onCompleted = vi.fn();
    const hook = await renderPay(createClient(wire), { strict, onCompleted });
    const call = await click(hook);
    await act(async () => wire.sent[0]!.lose());
    await hook.unmount();
    const renders = hook.renders.length;
    const again = await wire.request(1);
    await settled(call, () => again.answer(paid));
    expect((await call.promise).data).toEqual(paid.data);
    expect(onCompleted).toHaveBeenCalledTimes(1);
    expect(hook.renders).toHaveLength(renders);
    expect(complain).not.toHaveBeenCalled();
  });

  test('what happened while the component was hidden is shown when it is visible again', async () => {
    const wire = createWire();
    const client = createClient({ ...wire, retries: { attempts: 1 } });
    const hook = await renderPay(client);
    const call = await click(hook);
    await hook.setMode('hidden');
    const renders = hook.renders.length;
    await settled(call, () => wire.sent[0]!.lose());
    expect(hook.renders).toHaveLength(renders);
    await hook.setMode('visible');
    expect(hook.current()[1].status).toMatchObject({ state: 'unknown', key: wire.sent[0]!.key });
  });

  test('a layout effect and an effect of the first commit are one intent', async () => {
    const wire = createWire();
    const promises: Promise<PayResult>[] = [];
    const client = createClient(wire);
    const hook = await renderHook(
      client,
      () => {
        const [pay, result] = usePay({ intent: 'cart-1' });
        useLayoutEffect(() => void promises.push(pay({ variables: { amount: 100 } })), [pay]);
        useEffect(() => void promises.push(pay({ variables: { amount: 100 } })), [pay]);
        return result.status;
      },
      { props: undefined, strict: true },
    );
    expect(new Set(promises).size).toBe(1);
    expect(wire.sent).toHaveLength(1);
    expect(hook.current()).toEqual({ state: 'sending', attempt: 1 });
  });
});
