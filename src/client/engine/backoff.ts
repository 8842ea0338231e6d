/** How long to wait before the next attempt: full jitter, above what the server asks for. */

export interface Backoff {
  /** How many attempts were made. */
  readonly made: number;
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /** What the server asks for, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** What is left until the deadline, in milliseconds. */
  readonly leftMs: number;
}

/** Draws the wait in milliseconds; `undefined` where the server asks to wait beyond the deadline. */
export function drawDelay({
  made,
  baseDelayMs,
  maxDelayMs,
  retryAfterMs = 0,
  leftMs,
}: Backoff): number | undefined {
  if (retryAfterMs >= leftMs) return undefined;
  // A server tells all its clients the same time to come back: the later it is, the wider they must spread.
  const range = Math.max(Math.min(maxDelayMs, baseDelayMs * 2 ** Math.min(made - 1, 31)), retryAfterMs);
  // A wait that ends with the deadline would be for nothing: what is drawn leaves time for its attempt.
  return retryAfterMs + Math.random() * Math.min(range, leftMs - retryAfterMs);
}
