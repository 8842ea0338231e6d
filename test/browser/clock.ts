/** The time of a profile's pages, which the test lets pass: no retry comes before its turn. */

import type { BrowserContext } from 'playwright-core';

export interface Clock {
  /** Lets so much time pass at once. */
  pass(ms: number): Promise<void>;
  /** Lets time pass as it does. */
  run(): Promise<void>;
}

/** Stops the time of all pages that are opened from now on. */
export async function stopClock({ clock }: BrowserContext): Promise<Clock> {
  await clock.install();
  // It can only be stopped in its future.
  await clock.pauseAt(Date.now() + 60_000);
  return { pass: (ms) => clock.fastForward(ms), run: () => clock.resume() };
}
