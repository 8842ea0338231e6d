/** The engine: sends until there is an answer, or no reason to go on. Knows no GraphQL client and no fetch. */

import { drawDelay } from './backoff.ts';
import { givenUp } from './given-up.ts';
import type { Judgement } from './judge.ts';
import { OutcomeUnknownError } from './outcome-unknown-error.ts';
import type { StopReason } from './outcome-unknown-error.ts';
import { online, pause } from './pause.ts';
import { RetryBudgetExhaustedError } from './retry-budget-exhausted-error.ts';
import type { Retry, RetryPolicy } from './retry-options.ts';
import { sendOnce } from './send-once.ts';
import type { Sent } from './send-once.ts';
import { tell } from './tell.ts';
import { unsettledKeys } from './unsettled-keys.ts';

export interface Sending<Answer> {
  /** The mutation's key; absent for a query, which is as good as its last attempt. */
  readonly key: string | undefined;
  /** Whether an earlier call may have sent this key: a refusal then settles nothing. */
  readonly sentBefore?: boolean | undefined;
  /** Sends it; the signal aborts this attempt. */
  send(attempt: number, signal: AbortSignal): Promise<Answer>;
  judge(received: Answer): Judgement;
  /** Judges what `send` threw. @defaultValue no answer */
  judgeFailure?(cause: unknown): Judgement;
  /** The caller's own; no attempt begins after it is aborted. */
  readonly signal?: AbortSignal | null | undefined;
  readonly onRetry?: ((retry: Retry) => void) | undefined;
}

const NO_ANSWER: Judgement = { kind: 'no-answer' };

/**
 * Resolves with the answer, or with what a query got last. Rejects with the failure of a query, with the
 * caller's own reason where nothing was sent, with `RetryBudgetExhaustedError` for a query, and for a mutation
 * that may have been executed with `OutcomeUnknownError`.
 */
export async function untilAnswered<Answer>(sending: Sending<Answer>, policy: RetryPolicy): Promise<Answer> {
  const sentBefore = sending.sentBefore === true || unsettledKeys.has(sending.key);
  let unsettled = sentBefore;
  if (sending.signal?.aborted) {
    if (sending.key === undefined || !unsettled) throw sending.signal.reason;
    throw unknown(sending.key, 'aborted', 0, { kind: 'failed', cause: sending.signal.reason });
  }
  const end = createEnd(sending.signal, policy.deadlineMs);
  try {
    policy.budget.earn();
    for (let attempt = 1; ; attempt += 1) {
      const sent = await sendOnce((signal) => sending.send(attempt, signal), {
        timeoutMs: policy.attemptTimeoutMs,
        signal: end.signal,
      });
      const judgement = judgeSent(sending, sent);
      if (judgement.kind === 'answer') {
        unsettledKeys.settle(sending.key);
        return settle(sent);
      }
      if (judgement.kind === 'refusal') {
        const open = judgement.reused ? sentBefore : unsettled;
        if (!open || sending.key === undefined) return settle(sent);
        throw unknown(sending.key, 'refused', attempt, sent);
      }
      unsettled = true;
      const stopped = await beforeNext(sending, policy, { attempt, sent, judgement, end });
      if (stopped !== undefined) return giveUp(sending, stopped, attempt, sent);
    }
  } finally {
    end.clear();
  }
}

interface Made<Answer> {
  readonly attempt: number;
  readonly sent: Sent<Answer>;
  readonly judgement: Extract<Judgement, { kind: 'no-answer' }>;
  readonly end: End;
}

/** Waits for the next attempt; says why there is none. */
async function beforeNext<Answer>(
  sending: Sending<Answer>,
  policy: RetryPolicy,
  { attempt, sent, judgement, end }: Made<Answer>,
): Promise<StopReason | undefined> {
  const over = end.reason();
  if (over !== undefined) return over;
  if (attempt >= policy.attempts) return 'attempts';
  const { baseDelayMs, maxDelayMs, budget } = policy;
  const delayMs = drawDelay({
    made: attempt,
    baseDelayMs,
    maxDelayMs,
    retryAfterMs: judgement.retryAfterMs,
    leftMs: end.leftMs(),
  });
  if (delayMs === undefined) return 'deadline';
  if (!budget.take()) return 'budget';
  const retry: Retry = { attempt: attempt + 1, delayMs, key: sending.key, ...partsOf(sent) };
  tell(policy.onRetry, retry);
  tell(sending.onRetry, retry);
  await pause(delayMs, end.signal);
  await online(end.signal);
  return end.reason();
}

function giveUp<Answer>(
  { key, signal }: Sending<Answer>,
  reason: StopReason,
  attempts: number,
  sent: Sent<Answer>,
): Answer {
  if (key !== undefined) throw unknown(key, reason, attempts, sent);
  if (reason === 'aborted') throw signal?.reason;
  if (reason === 'budget') throw new RetryBudgetExhaustedError(partsOf(sent));
  givenUp.add(sent.kind === 'failed' ? sent.cause : sent.received);
  return settle(sent);
}

function judgeSent<Answer>(sending: Sending<Answer>, sent: Sent<Answer>): Judgement {
  if (sent.kind === 'received') return sending.judge(sent.received);
  return sending.judgeFailure?.(sent.cause) ?? NO_ANSWER;
}

function settle<Answer>(sent: Sent<Answer>): Answer {
  if (sent.kind === 'failed') throw sent.cause;
  return sent.received;
}

function unknown<Answer>(
  key: string,
  reason: StopReason,
  attempts: number,
  sent: Sent<Answer>,
): OutcomeUnknownError {
  unsettledKeys.add(key);
  return new OutcomeUnknownError({ key, reason, attempts, ...partsOf(sent) });
}

function partsOf<Answer>(sent: Sent<Answer>): { readonly cause: unknown; readonly received: unknown } {
  return sent.kind === 'failed'
    ? { cause: sent.cause, received: undefined }
    : { cause: undefined, received: sent.received };
}

/** Ends everything: the caller's signal, or the deadline. */
interface End {
  readonly signal: AbortSignal;
  reason(): 'aborted' | 'deadline' | undefined;
  leftMs(): number;
  clear(): void;
}

/**
 * The deadline holds by the timer and by the clock. A computer that slept through it wakes with all its timers
 * late; an attempt then might meet a server that has forgotten the key, and would execute again.
 */
function createEnd(outer: AbortSignal | null | undefined, deadlineMs: number): End {
  const controller = new AbortController();
  const endsAt = Date.now() + deadlineMs;
  const abort = (): void => controller.abort(outer?.reason);
  const timer = setTimeout(
    () => controller.abort(new DOMException('The deadline is over.', 'TimeoutError')),
    deadlineMs,
  );
  outer?.addEventListener('abort', abort);
  const leftMs = (): number => endsAt - Date.now();
  return {
    signal: controller.signal,
    leftMs,
    reason() {
      if (outer?.aborted) return 'aborted';
      return controller.signal.aborted || leftMs() <= 0 ? 'deadline' : undefined;
    },
    clear() {
      clearTimeout(timer);
      outer?.removeEventListener('abort', abort);
    },
  };
}
