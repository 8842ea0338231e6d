/** Waiting for the next attempt: computers that sleep, browsers that are offline, listeners that throw. */

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { untilAnswered } from '../../../src/client/engine/until-answered.ts';
import type { Sending } from '../../../src/client/engine/until-answered.ts';
import { readRetryOptions } from '../../../src/client/engine/retry-options.ts';
import type { RetryOptions } from '../../../src/client/engine/retry-options.ts';
import { countedSignal } from '../support/counted-signal.ts';
import { useVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

let clock: VirtualClock;

beforeEach(() => {
  clock = useVirtualClock();
});
afterEach(() => {
  clock.restore();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

type Came = 'answer' | 'no-answer' | 'refusal';

interface Transport {
  readonly sentAt: readonly number[];
  readonly call: (options?: RetryOptions, sending?: Partial<Sending<Came>>) => Promise<Came>;
}

/** Sends what the script says, one attempt after another, and an answer behind its end. */
function transport(...script: readonly (Came | (() => Came))[]): Transport {
  const sentAt: number[] = [];
  return {
    sentAt,
    call: (options = {}, sending = {}) =>
      untilAnswered<Came>(
        {
          key: 'k',
          send: async (attempt) => {
            sentAt.push(clock.now());
            const came = script[attempt - 1] ?? 'answer';
            return typeof came === 'function' ? came() : came;
          },
          judge: (kind) => ({ kind }),
          ...sending,
        },
        readRetryOptions({ budget: false, ...options }),
      ),
  };
}

const caught = async (promise: Promise<unknown>): Promise<unknown> =>
  clock.until(
    promise.then(
      () => 'resolved',
      (error: unknown) => error,
    ),
  );

describe('a computer that sleeps', () => {
  test('through a wait sends nothing after the deadline, though its timers come late', async () => {
    const { call, sentAt } = transport('no-answer');
    const sleeps = (): void => clock.jump(3 * 3_600_000);
    const error = await caught(call({}, { key: 'slept', onRetry: sleeps }));
    expect(error).toMatchObject({ name: 'OutcomeUnknownError', reason: 'deadline', attempts: 1 });
    expect(sentAt).toEqual([0]);
  });

  test('through an attempt sends nothing after the deadline', async () => {
    const asleep = (): Came => {
      clock.jump(60_000);
      return 'no-answer';
    };
    const { call, sentAt } = transport(asleep);
    expect(await caught(call({}, { key: 'slept too' }))).toMatchObject({ reason: 'deadline', attempts: 1 });
    expect(sentAt).toHaveLength(1);
  });

  test('still takes an answer that was there when it woke', async () => {
    const asleep = (): Came => {
      clock.jump(3 * 3_600_000);
      return 'answer';
    };
    expect(await clock.until(transport(asleep).call())).toBe('answer');
  });

  test('a clock that is set back does not lengthen the call', async () => {
    const { call } = transport(...Array.from({ length: 50 }, () => 'no-answer' as const));
    const error = await caught(
      call({ attempts: 50, deadlineMs: 5000 }, { key: 'back', onRetry: () => clock.jump(-3_600_000) }),
    );
    expect(error).toMatchObject({ reason: 'deadline' });
    expect(clock.now()).toBe(5000);
  });
});

/** A browser's `navigator` and its events. */
function browser(onLine: boolean): { listening(): number; comesBack(): void } {
  const listeners = new Set<() => void>();
  const navigator = { onLine };
  vi.stubGlobal('navigator', navigator);
  vi.stubGlobal('addEventListener', (_: 'online', listener: () => void) => listeners.add(listener));
  vi.stubGlobal('removeEventListener', (_: 'online', listener: () => void) => listeners.delete(listener));
  return {
    listening: () => listeners.size,
    comesBack() {
      navigator.onLine = true;
      for (const listener of listeners) listener();
    },
  };
}

describe('a browser that is offline', () => {
  test('sends again when it is back, and not before', async () => {
    const page = browser(false);
    const { call, sentAt } = transport('no-answer');
    clock.after(30_000, () => page.comesBack());
    expect(await clock.until(call())).toBe('answer');
    expect(sentAt).toEqual([0, 30_000]);
    expect(page.listening()).toBe(0);
  });

  test('waits no longer than the deadline', async () => {
    const page = browser(false);
    const { call, sentAt } = transport('no-answer');
    expect(await caught(call({ deadlineMs: 9000 }, { key: 'offline' }))).toMatchObject({
      reason: 'deadline',
    });
    expect([sentAt.length, clock.now(), page.listening(), clock.timers()]).toEqual([1, 9000, 0, 0]);
  });

  test('gives up at once when the caller does', async () => {
    const page = browser(false);
    const caller = countedSignal();
    const { call, sentAt } = transport('no-answer');
    clock.after(5000, () => caller.controller.abort());
    const error = await caught(call({}, { key: 'offline too', signal: caller.signal }));
    expect(error).toMatchObject({ reason: 'aborted' });
    expect([sentAt.length, clock.now(), page.listening(), clock.timers()]).toEqual([1, 5000, 0, 0]);
    expect(caller.listeners()).toBe(0);
  });

  test('that is online, or that does not tell, is not waited for', async () => {
    browser(true);
    expect(await clock.until(transport('no-answer').call())).toBe('answer');
    vi.stubGlobal('navigator', {});
    expect(await clock.until(transport('no-answer').call())).toBe('answer');
    vi.unstubAllGlobals();
    vi.stubGlobal('navigator', { onLine: false });
    // Where nobody says that it is back, waiting for it would last until the deadline.
    expect(await clock.until(transport('no-answer').call())).toBe('answer');
    expect(clock.now()).toBeLessThan(1000);
  });
});

describe('listeners', () => {
  test('hear of each retry before its wait, with what came last', async () => {
    const heard: object[] = [];
    const onRetry = (retry: object): unknown => heard.push({ ...retry, at: clock.now() });
    const { call, sentAt } = transport('no-answer', 'no-answer');
    await clock.until(call({ onRetry }, { key: 'heard' }));
    expect(heard).toMatchObject([
      { attempt: 2, key: 'heard', received: 'no-answer', cause: undefined, at: sentAt[0] },
      { attempt: 3, key: 'heard', received: 'no-answer', cause: undefined, at: sentAt[1] },
    ]);
    const waits = (heard as { delayMs: number }[]).map(({ delayMs }) => delayMs);
    expect(sentAt[1]! - sentAt[0]!).toBe(waits[0]);
    expect(sentAt[2]! - sentAt[1]!).toBe(waits[1]);
  });

  test('that throw cost no attempt, and are told on the console', async () => {
    const told = vi.spyOn(console, 'error').mockReturnValue();
    const mistake = new Error('a mistake');
    const onRetry = (): never => {
      throw mistake;
    };
    const { call, sentAt } = transport('no-answer');
    expect(await clock.until(call({ onRetry }, { onRetry }))).toBe('answer');
    expect(sentAt).toHaveLength(2);
    expect(told.mock.calls).toEqual([[mistake], [mistake]]);
  });

  test('that abort from inside end it there', async () => {
    const caller = countedSignal();
    const { call, sentAt } = transport('no-answer');
    const onRetry = (): void => caller.controller.abort();
    const error = await caught(call({}, { key: 'inside', signal: caller.signal, onRetry }));
    expect(error).toMatchObject({ reason: 'aborted', attempts: 1 });
    expect([sentAt.length, clock.now(), clock.timers(), caller.listeners()]).toEqual([1, 0, 0, 0]);
  });
});

describe('an attempt', () => {
  test('that takes too long is aborted, and nobody waits for a transport that does not listen', async () => {
    const aborted: unknown[] = [];
    const pending = new Promise<Came>(() => undefined);
    const call = transport().call(
      { attempts: 2, attemptTimeoutMs: 700 },
      {
        key: 'deaf',
        async send(_, signal) {
          signal.addEventListener('abort', () => aborted.push([clock.now(), (signal.reason as Error).name]));
          return pending;
        },
      },
    );
    const error = await caught(call);
    expect(error).toMatchObject({ reason: 'attempts', cause: { name: 'TimeoutError' } });
    expect(aborted).toMatchObject([
      [700, 'TimeoutError'],
      [clock.now(), 'TimeoutError'],
    ]);
    expect(clock.timers()).toBe(0);
  });

  test('that throws at once is as good as one that fails', async () => {
    let sent = 0;
    const send = (): Promise<Came> => {
      sent += 1;
      if (sent === 1) throw new TypeError('not a promise');
      return Promise.resolve('answer');
    };
    expect(await clock.until(transport().call({}, { send }))).toBe('answer');
    expect(sent).toBe(2);
  });
});

describe('a query', () => {
  test('ends with what came last when its attempts are used up', async () => {
    const { call } = transport('no-answer', 'no-answer');
    expect(await clock.until(call({ attempts: 2 }, { key: undefined }))).toBe('no-answer');
  });

  test('ends with its last failure where nothing came', async () => {
    const failure = new TypeError('fetch failed');
    const call = transport().call({ attempts: 2 }, { key: undefined, send: () => Promise.reject(failure) });
    expect(await caught(call)).toBe(failure);
  });

  test("ends with the caller's reason when it is aborted", async () => {
    const caller = countedSignal();
    const reason = new Error('enough');
    const { call } = transport('no-answer');
    const onRetry = (): void => caller.controller.abort(reason);
    expect(await caught(call({}, { key: undefined, signal: caller.signal, onRetry }))).toBe(reason);
  });
});

describe('a key whose outcome is unknown', () => {
  test('stays unknown when it is sent again and refused', async () => {
    const key = 'unknown since';
    await caught(transport('no-answer').call({ attempts: 1 }, { key }));
    const error = await caught(transport('refusal').call({}, { key }));
    expect(error).toMatchObject({
      name: 'OutcomeUnknownError',
      reason: 'refused',
      attempts: 1,
      received: 'refusal',
    });
  });

  test('is settled by an answer: a refusal of what comes later is its own', async () => {
    const key = 'known again';
    await caught(transport('no-answer').call({ attempts: 1 }, { key }));
    expect(await clock.until(transport('answer').call({}, { key }))).toBe('answer');
    expect(await clock.until(transport('refusal').call({}, { key }))).toBe('refusal');
  });

  test('stays unknown when the call that would send it again is aborted before', async () => {
    const key = 'aborted before';
    const signal = AbortSignal.abort(new Error('enough'));
    const { call, sentAt } = transport();
    const error = await caught(call({}, { key, sentBefore: true, signal }));
    expect(error).toMatchObject({ name: 'OutcomeUnknownError', reason: 'aborted', attempts: 0, key });
    expect(await caught(call({}, { key: 'never sent', signal }))).toBe(signal.reason);
    expect(sentAt).toHaveLength(0);
  });
});
