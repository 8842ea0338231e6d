/** How long an event waits that could not be published. */

export interface Backoff {
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

/**
 * Returns a random wait of at most `backoffMs`, twice that after the second failure, and so on up to `maxBackoffMs`.
 * From the whole range, so that what failed together does not come back together. `failures` counts this one.
 */
export function retryDelayMs(
  failures: number,
  { backoffMs, maxBackoffMs }: Backoff,
  random: () => number = Math.random,
): number {
  // Two to the power of hundreds is no number of milliseconds any more.
  const doubled = backoffMs * 2 ** Math.min(failures - 1, 40);
  return Math.round(random() * Math.min(doubled, maxBackoffMs));
}
