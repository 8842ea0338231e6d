/** How long it waits, and what ends it: attempts, the deadline, and whoever gives up. On a clock of its own. */

import { HttpLink } from '@apollo/client';
import type { ApolloClient } from '@apollo/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Retry, RetryOptions } from 'graphql-idempotency/client';
import { idempotencyLink, isOutcomeUnknown, retryLink } from 'graphql-idempotency/client/apollo';
import { BARE_PAY, PING, clientOf, failureOf } from './client.ts';
import {
  GRAPHQL_RESPONSE,
  answer,
  lost,
  paid,
  ponged,
  refused,
  scriptedFetch,
  silent,
} from './scripted-fetch.ts';
import type { Script, ScriptedFetch } from './scripted-fetch.ts';
import { scriptedLink } from './scripted-link.ts';

const START = Date.UTC(2030, 0, 1);
beforeEach(() => {
  vi.useFakeTimers({ now: START });
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  expect(vi.getTimerCount(), 'timers that were left behind').toBe(0);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface Shop extends ScriptedFetch {
  readonly client: ApolloClient;
  readonly waits: readonly number[];
}

function shop(options: RetryOptions, ...scripts: [Script, ...Script[]]): Shop {
  const transport = scriptedFetch(...scripts);
  const waits: number[] = [];
  const onRetry = ({ delayMs }: Retry): void => void waits.push(delayMs);
  const client = clientOf(
    idempotencyLink(),
    retryLink({ budget: false, baseDelayMs: 100, onRetry, ...options }),
    new HttpLink({ uri: 'http://shop/graphql', fetch: transport.fetch }),
  );
  return { ...transport, client, waits };
}
const pay = ({ client }: Shop, context = {}): Promise<unknown> =>
  client.mutate({ mutation: BARE_PAY, context });

describe('the wait before the next attempt', () => {
  const busy = { status: 409, headers: { 'retry-after': '3' } };
  test.each<readonly [string, Script, number]>([
    ['is drawn from the range', lost, 50],
    ['is above the header of an HTTP error', refused('IDEMPOTENCY_IN_PROGRESS', busy), 3000 + 1500],
    [
      'is above the header of graphql-response+json',
      refused('IDEMPOTENCY_IN_PROGRESS', { ...busy, type: GRAPHQL_RESPONSE }),
      3000 + 1500,
    ],
    [
      'is above the header of a page',
      answer('busy', { ...busy, status: 503, type: 'text/html' }),
      3000 + 1500,
    ],
    [
      'is above a header that names a date',
      answer({}, { status: 503, headers: { 'retry-after': new Date(START + 4000).toUTCString() } }),
      4000 + 2000,
    ],
    [
      'is above what a result asks for',
      refused('IDEMPOTENCY_IN_PROGRESS', { retryAfterMs: 2000 }),
      2000 + 1000,
    ],
    [
      'is above the higher of the two',
      refused('IDEMPOTENCY_IN_PROGRESS', { ...busy, retryAfterMs: 500 }),
      3000 + 1500,
    ],
    [
      'is drawn from the range when the header is negative',
      answer({}, { status: 503, headers: { 'retry-after': '-5' } }),
      50,
    ],
  ])('%s', async (_, script, delayMs) => {
    const store = shop({}, script, paid);
    const result = pay(store);
    await vi.advanceTimersByTimeAsync(delayMs - 1);
    expect(store.asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await result).toMatchObject({ data: {} });
    expect(store.waits).toEqual([delayMs]);
  });

  test('grows to its cap', async () => {
    const store = shop({ attempts: 6, maxDelayMs: 400 }, lost);
    const failure = failureOf(pay(store));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await failure).toMatchObject({ reason: 'attempts', attempts: 6 });
    expect(store.waits).toEqual([50, 100, 200, 200, 200]);
    expect(store.asked).toHaveLength(6);
  });

  test('does not follow where the server asks to wait beyond the deadline', async () => {
    const store = shop({}, answer({}, { status: 503, headers: { 'retry-after': '9999999999' } }), paid);
    expect(await failureOf(pay(store))).toMatchObject({ reason: 'deadline', attempts: 1 });
    expect(store.waits).toEqual([]);
  });
});

describe('an attempt that takes too long', () => {
  test('is aborted, and followed by another one', async () => {
    const store = shop({ attemptTimeoutMs: 1000 }, silent, paid);
    const result = pay(store);
    await vi.advanceTimersByTimeAsync(999);
    expect(store.asked[0]!.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(store.asked[0]!.signal.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(50);
    expect(await result).toMatchObject({ data: {} });
    expect(store.asked).toHaveLength(2);
    expect(store.keys()).toHaveLength(1);
  });

  test("is left behind where the transport cannot be aborted; what it says later is nobody's", async () => {
    const end = scriptedLink();
    const client = clientOf(
      idempotencyLink(),
      retryLink({ budget: false, attemptTimeoutMs: 1000 }),
      end.link,
    );
    const result = client.mutate({ mutation: BARE_PAY });
    await vi.advanceTimersByTimeAsync(2000);
    const [late, second] = end.arrivals;
    expect(late!.left).toBe(true);
    late!.observer.next({ data: { pay: { __typename: 'Payment', id: 'late' } } });
    second!.observer.next({ data: { pay: { __typename: 'Payment', id: 'second' } } });
    second!.observer.complete();
    expect(await result).toMatchObject({ data: { pay: { id: 'second' } } });
  });
});

describe('the deadline', () => {
  test('ends an attempt, and nothing follows', async () => {
    const store = shop({ deadlineMs: 1000 }, silent);
    const failure = failureOf(pay(store));
    await vi.advanceTimersByTimeAsync(1000);
    expect(await failure).toMatchObject({ reason: 'deadline', attempts: 1, key: store.keys()[0] });
    expect(store.asked[0]!.signal.aborted).toBe(true);
    expect(store.asked).toHaveLength(1);
  });

  test('leaves time for the attempt that is waited for', async () => {
    const store = shop({ deadlineMs: 1000, baseDelayMs: 5000 }, lost, silent);
    const failure = failureOf(pay(store));
    await vi.advanceTimersByTimeAsync(999);
    expect(store.waits[0]).toBeLessThan(1000);
    expect(store.asked.map(({ signal }) => signal.aborted)).toEqual([false, false]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await failure).toMatchObject({ reason: 'deadline', attempts: 2 });
    expect(store.asked).toHaveLength(2);
  });

  test('does not cut what comes after the first result', async () => {
    const end = scriptedLink();
    const link = [idempotencyLink(), retryLink({ deadlineMs: 1000, attemptTimeoutMs: 500 }), end.link];
    const result = clientOf(...link).mutate({ mutation: BARE_PAY });
    const { observer } = await end.arrival(1);
    observer.next({ data: { pay: { __typename: 'Payment', id: '1' } } });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(end.arrivals[0]!.left).toBe(false);
    observer.complete();
    expect(await result).toMatchObject({ data: {} });
  });
});

describe('a signal of the caller', () => {
  test('that was aborted before leaves nothing sent', async () => {
    const store = shop({}, paid);
    const signal = AbortSignal.abort(new Error('changed my mind'));
    expect(await failureOf(pay(store, { fetchOptions: { signal } }))).toEqual(new Error('changed my mind'));
    expect(store.asked).toHaveLength(0);
  });

  test('that is aborted during a request aborts it, and nothing follows', async () => {
    const store = shop({}, silent, paid);
    const { signal, abort } = controller();
    const failure = failureOf(pay(store, { fetchOptions: { signal } }));
    await vi.advanceTimersByTimeAsync(0);
    abort();
    const error = await failure;
    expect(error).toMatchObject({ reason: 'aborted', attempts: 1, key: store.keys()[0] });
    expect(isOutcomeUnknown(error)).toBe(true);
    expect(store.asked[0]!.signal.aborted).toBe(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.asked).toHaveLength(1);
  });

  test('that is aborted during a wait ends it, and nothing follows', async () => {
    const store = shop({}, lost, paid);
    const { signal, abort } = controller();
    const failure = failureOf(pay(store, { fetchOptions: { signal } }));
    await vi.advanceTimersByTimeAsync(49);
    abort();
    expect(await failure).toMatchObject({ reason: 'aborted', attempts: 1 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.asked).toHaveLength(1);
  });

  test('ends a query with its own reason', async () => {
    const store = shop({}, lost, ponged);
    const { signal, abort } = controller();
    const failure = failureOf(store.client.query({ query: PING, context: { fetchOptions: { signal } } }));
    await vi.advanceTimersByTimeAsync(10);
    abort();
    expect(await failure).toMatchObject({ name: 'AbortError' });
    expect(store.asked).toHaveLength(1);
  });

  test('has no listener left when there is an answer', async () => {
    const store = shop({}, lost, paid);
    const { signal } = controller();
    const added = vi.spyOn(signal, 'addEventListener');
    const removed = vi.spyOn(signal, 'removeEventListener');
    const result = pay(store, { fetchOptions: { signal } });
    await vi.advanceTimersByTimeAsync(50);
    await result;
    const listeners = added.mock.calls.map(([, listener]) => listener);
    const gone = removed.mock.calls.map(([, listener]) => listener);
    expect(listeners.length).toBeGreaterThan(0);
    expect(listeners.filter((listener) => !gone.includes(listener!))).toEqual([]);
  });
});

describe('whoever unsubscribes', () => {
  const subscribe = ({ client }: Shop): { unsubscribe(): void } =>
    client.watchQuery({ query: PING, fetchPolicy: 'network-only' }).subscribe(() => undefined);

  test('during a request aborts it, and nothing follows', async () => {
    const store = shop({}, silent, ponged);
    const subscription = subscribe(store);
    await vi.advanceTimersByTimeAsync(0);
    subscription.unsubscribe();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.asked.map(({ signal }) => signal.aborted)).toEqual([true]);
  });

  test('during a wait ends it, and nothing follows', async () => {
    const store = shop({}, lost, ponged);
    const subscription = subscribe(store);
    await vi.advanceTimersByTimeAsync(49);
    expect(store.asked).toHaveLength(1);
    subscription.unsubscribe();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.asked).toHaveLength(1);
  });

  test('at once has nothing sent again', async () => {
    const store = shop({}, lost, ponged);
    subscribe(store).unsubscribe();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(store.asked.length).toBeLessThanOrEqual(1);
  });
});

function controller(): { signal: AbortSignal; abort: () => void } {
  const made = new AbortController();
  return { signal: made.signal, abort: () => made.abort() };
}
