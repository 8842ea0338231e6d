// @vitest-environment happy-dom
/** Which calls of `mutate` are one intent, and which key they send. */

import { act } from 'react';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { OutcomeUnknownError } from 'graphql-idempotency/client';
import { click, createClient, renderPay, settled } from './support/pay.ts';
import { createWire, outcome, paid, refused } from './support/wire.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4/;

describe('while a call is under way', () => {
  test('a double click is one intent', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire));
    const first = await click(hook);
    const second = await click(hook);
    expect(second.promise).toBe(first.promise);
    const request = await wire.request(0);
    await settled(first, () => request.answer(paid));
    expect(wire.sent).toHaveLength(1);
    expect(request.key).toMatch(UUID);
  });

  test('two clicks in one event are one intent', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire));
    const promises: Promise<unknown>[] = [];
    await act(async () => {
      const [pay] = hook.current();
      promises.push(pay({ variables: { amount: 100 } }), pay({ variables: { amount: 100 } }));
    });
    expect(promises[0]).toBe(promises[1]);
    expect(wire.sent).toHaveLength(1);
  });

  test('another call joins it whatever its variables', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire));
    const first = await click(hook);
    const second = await click(hook, { variables: { amount: 200 } });
    expect(second.promise).toBe(first.promise);
    expect(wire.sent.map(({ variables }) => variables)).toEqual([{ amount: 100 }]);
  });

  test('another call joins it between two attempts', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const wire = createWire();
    const hook = await renderPay(
      createClient({ ...wire, retries: { baseDelayMs: 60_000, deadlineMs: 90_000 } }),
    );
    const first = await click(hook);
    const request = await wire.request(0);
    await act(async () => request.lose());
    expect(hook.current()[1].status.state).toBe('retrying');
    const second = await click(hook);
    expect(second.promise).toBe(first.promise);
    expect(wire.sent).toHaveLength(1);
  });

  test('reset changes nothing', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire));
    const first = await click(hook);
    await act(async () => hook.current()[1].reset());
    expect(hook.current()[1]).toMatchObject({ loading: true, status: { state: 'sending', attempt: 1 } });
    const second = await click(hook);
    expect(second.promise).toBe(first.promise);
    const request = await wire.request(0);
    await settled(first, () => request.answer(outcome('executed')));
    expect(hook.current()[1].status).toEqual({ state: 'done', replayed: false });
  });
});

describe('after a definite answer', () => {
  test('the next call is a new intent with a new key', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire));
    const first = await click(hook);
    await settled(first, () => wire.sent[0]!.answer(paid));
    const second = await click(hook);
    expect(second.promise).not.toBe(first.promise);
    expect(wire.sent[1]!.key).toMatch(UUID);
    expect(wire.sent[1]!.key).not.toBe(wire.sent[0]!.key);
  });

  test('the next call may come from onCompleted', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire), {
      onCompleted: ({ pay }) => {
        if (pay?.amount === 100) void hook.current()[0]({ variables: { amount: 200 } });
      },
    });
    const first = await click(hook);
    await settled(first, () => wire.sent[0]!.answer(paid));
    expect(wire.sent.map(({ variables }) => variables['amount'])).toEqual([100, 200]);
    expect(wire.sent[1]!.key).not.toBe(wire.sent[0]!.key);
    expect(hook.current()[1].status).toEqual({ state: 'sending', attempt: 1 });
  });

  test('an error that settles it is one', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire));
    const first = await click(hook);
    await settled(first, () => wire.sent[0]!.answer(refused('BAD_USER_INPUT'), 400));
    expect(hook.current()[1].status.state).toBe('failed');
    await click(hook);
    expect(wire.sent[1]!.key).not.toBe(wire.sent[0]!.key);
  });
});

describe('after an unknown outcome', () => {
  test('the next call sends the same key', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient({ ...wire, retries: { attempts: 1 } }));
    const first = await click(hook);
    const error = await settled(first, () => wire.sent[0]!.lose());
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    const second = await click(hook);
    expect(second.promise).not.toBe(first.promise);
    expect(wire.sent[1]!.key).toBe(wire.sent[0]!.key);
    await settled(second, () => wire.sent[1]!.answer(outcome('replayed')));
    expect(hook.current()[1].status).toEqual({ state: 'done', replayed: true });
  });

  test('a transport error is one without retryLink', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient({ ...wire, retries: false }));
    const first = await click(hook);
    const error = await settled(first, () => wire.sent[0]!.lose());
    expect(error).toBeInstanceOf(TypeError);
    expect(hook.current()[1].status).toEqual({ state: 'unknown', key: wire.sent[0]!.key, error });
    await click(hook);
    expect(wire.sent[1]!.key).toBe(wire.sent[0]!.key);
  });

  test('other variables go out with the same key, and KEY_REUSED does not settle the first ones', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient({ ...wire, retries: { attempts: 1 } }));
    await settled(await click(hook), () => wire.sent[0]!.lose());
    const second = await click(hook, { variables: { amount: 200 } });
    expect(wire.sent[1]).toMatchObject({ key: wire.sent[0]!.key, variables: { amount: 200 } });
    await settled(second, () => wire.sent[1]!.answer(refused('IDEMPOTENCY_KEY_REUSED'), 422));
    expect(hook.current()[1].status).toMatchObject({ state: 'unknown', key: wire.sent[0]!.key });
    await settled(await click(hook), () => wire.sent[2]!.answer({ data: { pay: { id: '1' } } }));
    expect(wire.sent[2]!.key).toBe(wire.sent[0]!.key);
    expect(hook.current()[1].status.state).toBe('done');
    await click(hook);
    expect(wire.sent[3]!.key).not.toBe(wire.sent[0]!.key);
  });

  test.each([
    ['without retryLink', false],
    ['with retryLink', { attempts: 1 }],
  ] as const)('a refusal of a later call settles nothing, %s', async (_, retries) => {
    const wire = createWire();
    const hook = await renderPay(createClient({ ...wire, retries }));
    await settled(await click(hook), () => wire.sent[0]!.lose());
    await settled(await click(hook), () => wire.sent[1]!.answer(refused('UNAUTHENTICATED'), 401));
    expect(hook.current()[1].status).toMatchObject({ state: 'unknown', key: wire.sent[0]!.key });
    await click(hook);
    expect(wire.sent[2]!.key).toBe(wire.sent[0]!.key);
  });

  test('reset abandons it: the next call has a new key', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient({ ...wire, retries: { attempts: 1 } }));
    await settled(await click(hook), () => wire.sent[0]!.lose());
    await act(async () => hook.current()[1].reset());
    expect(hook.current()[1]).toMatchObject({
      status: { state: 'idle' },
      key: undefined,
      called: false,
      error: undefined,
    });
    await click(hook);
    expect(wire.sent[1]!.key).not.toBe(wire.sent[0]!.key);
  });
});

describe('the key', () => {
  test('is shown while the intent is under way or unknown', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient({ ...wire, retries: { attempts: 1 } }));
    expect(hook.current()[1].key).toBeUndefined();
    const first = await click(hook);
    expect(hook.current()[1].key).toBe(wire.sent[0]!.key);
    await settled(first, () => wire.sent[0]!.lose());
    expect(hook.current()[1].key).toBe(wire.sent[0]!.key);
    const second = await click(hook);
    await settled(second, () => wire.sent[1]!.answer(paid));
    expect(hook.current()[1].key).toBeUndefined();
  });

  test('of a named intent is shown as soon as the link has made it', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient({ ...wire, retries: false }), { intent: 'cart-1' });
    await click(hook);
    expect(wire.sent[0]!.key).toMatch(UUID);
    expect(hook.current()[1].key).toBe(wire.sent[0]!.key);
  });

  test('comes from newKey', async () => {
    const wire = createWire();
    const keys = ['one', 'two'];
    const hook = await renderPay(createClient(wire), { newKey: () => keys.shift()! });
    await settled(await click(hook), () => wire.sent[0]!.answer(paid));
    await click(hook);
    expect(wire.sent.map(({ key }) => key)).toEqual(['one', 'two']);
  });

  test('is none where the link gives none, and nothing is retried', async () => {
    const wire = createWire();
    const said = vi.spyOn(console, 'error').mockReturnValue();
    const hook = await renderPay(createClient({ ...wire, link: { guarded: () => false } }));
    await settled(await click(hook), () => wire.sent[0]!.lose());
    expect(wire.sent.map(({ key }) => key)).toEqual([null]);
    expect(hook.current()[1].status.state).toBe('failed');
    await settled(await click(hook), () => wire.sent[1]!.answer(paid));
    expect(said.mock.calls).toEqual([[expect.stringMatching(/without its key/)]]);
    said.mockRestore();
  });

  test('is the caller’s own where the context has one', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire));
    await click(hook, { variables: { amount: 100 }, context: { idempotency: { key: 'order-7' } } });
    expect(wire.sent[0]!.key).toBe('order-7');
    expect(hook.current()[1].key).toBe('order-7');
  });
});

describe('intents of different names', () => {
  test('never share a call or a key', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient({ ...wire, retries: { attempts: 1 } }), { intent: 'cart-1' });
    await settled(await click(hook), () => wire.sent[0]!.lose());
    await hook.rerender({ intent: 'cart-2' });
    const second = await click(hook);
    expect(wire.sent[1]!.key).not.toBe(wire.sent[0]!.key);
    await hook.rerender({ intent: 'cart-1' });
    const third = await click(hook);
    expect(third.promise).not.toBe(second.promise);
    expect(wire.sent[2]!.key).toBe(wire.sent[0]!.key);
  });

  test('show the last one that was begun', async () => {
    const wire = createWire();
    const hook = await renderPay(createClient(wire), { intent: 'cart-1' });
    const first = await click(hook);
    await hook.rerender({ intent: 'cart-2' });
    const second = await click(hook);
    await settled(first, () => wire.sent[0]!.answer(paid));
    expect(hook.current()[1].status).toEqual({ state: 'sending', attempt: 1 });
    await settled(second, () => wire.sent[1]!.answer(refused('FORBIDDEN'), 403));
    expect(hook.current()[1].status.state).toBe('failed');
  });
});
