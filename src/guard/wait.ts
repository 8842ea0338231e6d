/** Waits for the answer of another call with the same key, holding no connection meanwhile. */

import { setTimeout as sleep } from 'node:timers/promises';
import { IdempotencyError } from '../errors/idempotency-error.ts';
import type { Answer, PassageContext, Passenger } from './answer.ts';

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 1000;

/**
 * Passes again and again while the key is in progress elsewhere, until `waitTimeout` is over or the client has
 * gone. Waits are drawn at random below a bound that doubles: callers that began to wait together don't ask
 * together. A call that executes in this process is waited for by its end, not by asking.
 */
export async function passWaiting(
  context: PassageContext,
  passenger: Passenger,
  pass: () => Promise<Answer>,
): Promise<Answer> {
  const deadline = performance.now() + context.waitTimeoutMs;
  // Kept from the start: the drain may begin while this call asks, and not while it waits.
  const endings = [passenger.clientSignal(), context.flights.draining];
  for (let boundMs = FIRST_WAIT_MS; ; boundMs = Math.min(boundMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await pass();
    } catch (error) {
      const remainingMs = deadline - performance.now();
      const inProgress = error instanceof IdempotencyError && error.code === 'IDEMPOTENCY_IN_PROGRESS';
      if (!inProgress || remainingMs <= 0) throw error;
      const here = context.flights.get(passenger.call.identity);
      const waitMs = Math.min(here === undefined ? Math.random() * boundMs : remainingMs, remainingMs);
      if (!(await waited(waitMs, here?.over, endings))) throw error;
    }
  }
}

/** Whether there is any use in asking again. */
async function waited(
  waitMs: number,
  over: Promise<void> | undefined,
  endings: readonly (AbortSignal | undefined)[],
): Promise<boolean> {
  const woken = new AbortController();
  const wake = (): void => woken.abort();
  const signals = endings.filter((signal) => signal !== undefined);
  if (signals.some(({ aborted }) => aborted)) return false;
  // Not AbortSignal.any: in Node 20 every call of it leaves something behind at the signals that live on.
  for (const signal of signals) signal.addEventListener('abort', wake);
  try {
    await Promise.race([
      sleep(waitMs, undefined, { signal: woken.signal }),
      ...(over === undefined ? [] : [over]),
    ]);
    return !signals.some(({ aborted }) => aborted);
  } catch {
    return false;
  } finally {
    woken.abort();
    for (const signal of signals) signal.removeEventListener('abort', wake);
  }
}
