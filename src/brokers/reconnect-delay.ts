/** How long a consumer waits until it tries again to reach its broker. */

import { retryDelayMs } from '../outbox/retry-delay.ts';

/** Not the waits of messages, which may be hours: a broker that is back is found soon. */
const BACKOFF = { backoffMs: 100, maxBackoffMs: 2000 };
/** However short the wait is drawn: what cannot be reached is not asked all the time. */
const MIN_MS = 50;

/** `failures` counts those in a row, this one included. */
export function reconnectDelayMs(failures: number): number {
  return Math.max(MIN_MS, retryDelayMs(failures, BACKOFF));
}
