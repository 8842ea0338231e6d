/** Ten thousand networks that do what they like, and one promise: an answer, or an error that says "unknown". */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OutcomeUnknownError, RetryBudget, idempotentFetch } from 'graphql-idempotency/client';
import type { IdempotentFetchOptions, Retry } from 'graphql-idempotency/client';
import { countedSignal } from '../support/counted-signal.ts';
import type { CountedSignal } from '../support/counted-signal.ts';
import { ASKED, FAILURES } from '../support/failures.ts';
import type { FailureName } from '../support/failures.ts';
import { scriptedServer } from '../support/scripted-server.ts';
import type { ScriptedServer, Step } from '../support/scripted-server.ts';
import { useVirtualClock } from '../support/virtual-clock.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';

const RUNS = 10_000;

/** When the caller gives up. */
type Abort =
  | { readonly when: 'never' }
  | { readonly when: 'at'; readonly ms: number }
  | { readonly when: 'attempt' | 'retry'; readonly number: number };

interface Script {
  readonly steps: readonly Step[];
  readonly abort: Abort;
  readonly seed: number;
  readonly keyIn: 'header' | 'extensions';
  readonly retries: Required<
    Pick<
      IdempotentFetchOptions,
      'attempts' | 'baseDelayMs' | 'maxDelayMs' | 'attemptTimeoutMs' | 'deadlineMs'
    >
  >;
  /** Retries that the budget has; `undefined` for no budget. */
  readonly tokens: number | undefined;
}

const step: fc.Arbitrary<Step> = fc.record({
  failure: fc.constantFrom(...(Object.keys(FAILURES) as FailureName[])),
  asked: fc.constantFrom(...Object.keys(ASKED)),
  latencyMs: fc.constantFrom(0, 1, 80, 499, 3000),
  lateMs: fc.constantFrom(0, 10, 1000, 30_000, 500_000),
});
const abort: fc.Arbitrary<Abort> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ when: 'never' } as const) },
  fc.record({ when: fc.constant('at' as const), ms: fc.oneof(fc.nat(600), fc.nat(70_000)) }),
  fc.record({
    when: fc.constantFrom('attempt' as const, 'retry' as const),
    number: fc.integer({ min: 1, max: 4 }),
  }),
);
const script: fc.Arbitrary<Script> = fc.record({
  steps: fc.array(step, { maxLength: 9 }),
  abort,
  seed: fc.nat(),
  keyIn: fc.constantFrom('header', 'extensions'),
  retries: fc.record({
    attempts: fc.integer({ min: 1, max: 8 }),
    baseDelayMs: fc.constantFrom(0, 1, 200, 5000),
    maxDelayMs: fc.constantFrom(0, 300, 20_000),
    attemptTimeoutMs: fc.constantFrom(100, 500, 20_000),
    deadlineMs: fc.constantFrom(50, 2000, 15_000, 60_000),
  }),
  tokens: fc.option(fc.nat(3), { nil: undefined, freq: 3 }),
});

class WatchedBudget extends RetryBudget {
  refused = false;
  override take(): boolean {
    const taken = super.take();
    this.refused ||= !taken;
    return taken;
  }
}

interface Run {
  readonly script: Script;
  readonly clock: VirtualClock;
  readonly server: ScriptedServer;
  readonly caller: CountedSignal;
  readonly budget: WatchedBudget | undefined;
  readonly abortedAt: number;
  readonly ending: unknown;
  readonly endedAt: number;
}

const PAY = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ query: 'mutation { pay }' }),
};
const URL = 'http://shop.example/graphql';

async function play(script: Script, clock: VirtualClock): Promise<Run> {
  const { steps, abort, tokens, keyIn, retries } = script;
  const caller = countedSignal();
  const reason = new Error('the caller gave up');
  let abortedAt = Infinity;
  const giveUp = (): void => {
    abortedAt = Math.min(abortedAt, clock.now());
    caller.controller.abort(reason);
  };
  const at = (when: 'attempt' | 'retry', number: number): void => {
    if (abort.when === when && abort.number === number) giveUp();
  };
  if (abort.when === 'at' && abort.ms === 0) giveUp();
  if (abort.when === 'at' && abort.ms > 0) clock.after(abort.ms, giveUp);
  const server = scriptedServer(clock, steps, (attempt) => at('attempt', attempt));
  const budget = tokens === undefined ? undefined : new WatchedBudget({ share: 0, minimumPerMinute: tokens });
  const send = idempotentFetch({
    ...retries,
    keyIn,
    budget: budget ?? false,
    fetch: server.fetch,
    onRetry: ({ attempt }: Retry) => at('retry', attempt - 1),
  });
  const call = send(URL, { ...PAY, signal: caller.signal });
  const ending = await clock.until(call).catch((error: unknown) => error);
  return { script, clock, server, caller, budget, abortedAt, ending, endedAt: clock.now() };
}

function expectBounds({ script, server, abortedAt, endedAt }: Run): void {
  const { attempts } = server;
  const { deadlineMs, maxDelayMs, baseDelayMs } = script.retries;
  expect(endedAt).toBeLessThanOrEqual(deadlineMs);
  expect(attempts.length).toBeLessThanOrEqual(script.retries.attempts);
  // What the budget has at the start, and as much again within a minute.
  expect(attempts.length).toBeLessThanOrEqual(1 + 2 * (script.tokens ?? Infinity));
  expect(new Set(attempts.map(({ key }) => key)).size).toBeLessThanOrEqual(1);
  expect(attempts.every(({ key }) => key !== null && key.length === 36)).toBe(true);
  attempts.forEach(({ at }, index) => {
    expect(at).toBeLessThan(deadlineMs);
    expect(at).toBeLessThanOrEqual(abortedAt);
    const before = attempts[index - 1];
    if (before === undefined) return;
    expect(before.says).toBe('nothing');
    const { floorMs } = before;
    const range = Math.max(Math.min(maxDelayMs, baseDelayMs * 2 ** (index - 1)), floorMs);
    expect(at - before.endedAt).toBeGreaterThanOrEqual(floorMs);
    expect(at - before.endedAt).toBeLessThanOrEqual(floorMs + range);
  });
}

function expectEnding({ script, server, caller, budget, ending, endedAt }: Run): void {
  const { attempts } = server;
  const last = attempts.at(-1);
  if (ending instanceof Response) {
    expect(ending.status).toBe(last!.status);
    if (last!.says !== 'answer') expect([last!.says, attempts.length]).toEqual(['refusal', 1]);
    return;
  }
  if (!(ending instanceof OutcomeUnknownError)) {
    expect(ending).toBe(caller.signal.reason);
    expect(attempts).toHaveLength(0);
    return;
  }
  expect(last!.says).not.toBe('answer');
  expect(ending).toMatchObject({ key: last!.key, attempts: attempts.length });
  expect(ending.message).toMatch(/unknown; the same key may be sent again/);
  // `Date.now` counts from 1970, and its numbers are too large for the smallest fractions of this clock's.
  const leftMs = script.retries.deadlineMs - endedAt - 0.001;
  const holds = {
    aborted: caller.signal.aborted,
    refused: last!.says === 'refusal' && attempts.length > 1,
    attempts: attempts.length === script.retries.attempts,
    budget: budget?.refused === true,
    // At once: a wait that no attempt can follow is not begun.
    deadline: leftMs <= 0 || (endedAt === last!.endedAt && last!.floorMs >= leftMs),
    expired: false,
  };
  expect(holds).toMatchObject({ [ending.reason]: true });
}

/** What nobody waits for any more is not there any more. */
async function expectNothingLeft({ clock, server, caller }: Run): Promise<void> {
  expect(clock.timers()).toBe(0);
  expect(caller.listeners()).toBe(0);
  const sent = server.attempts.length;
  caller.controller.abort();
  await clock.toTheEnd();
  expect(server.attempts.length).toBe(sent);
  expect(clock.timers()).toBe(0);
}

/** The error says that the same key may be sent again, so it is: by then the server is well. */
async function expectOneEffect({ clock, server, ending }: Run): Promise<void> {
  expect(server.executed()).toBeLessThanOrEqual(1);
  if (!(ending instanceof OutcomeUnknownError)) return;
  const well = scriptedServer(clock, []);
  const again = idempotentFetch({ budget: false, fetch: well.fetch });
  const headers = { ...PAY.headers, 'idempotency-key': ending.key };
  const response = await clock.until(again(URL, { ...PAY, headers }));
  expect(await response.json()).toEqual({ data: { pay: 1 } });
  expect(well.attempts.map(({ key }) => key)).toEqual([server.attempts[0]!.key]);
}

test(
  'ten thousand random failure scripts end in an answer, or in an error that says unknown',
  { timeout: 120_000 },
  async () => {
    const endings: Record<string, number> = {};
    await fc.assert(
      fc.asyncProperty(script, async (script) => {
        const clock = useVirtualClock({ seed: script.seed });
        try {
          const run = await play(script, clock);
          expectBounds(run);
          expectEnding(run);
          await expectNothingLeft(run);
          await expectOneEffect(run);
          const { ending } = run;
          const name =
            ending instanceof OutcomeUnknownError ? ending.reason : (ending as object).constructor.name;
          endings[name] = (endings[name] ?? 0) + 1;
        } finally {
          clock.restore();
        }
      }),
      { numRuns: RUNS },
    );
    // A generator that no longer reaches an ending would prove nothing about it.
    expect(Object.keys(endings).toSorted()).toEqual([
      'Error',
      'Response',
      'aborted',
      'attempts',
      'budget',
      'deadline',
      'refused',
    ]);
  },
);
