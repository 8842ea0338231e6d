/** Puts a virtual clock, seeded chance and a light platform in the place of the real ones, for code that knows nothing of it. */

import type { Platform } from './light-platform.ts';
import { seededRandom } from './seeded-random.ts';
import { VirtualClock } from './virtual-clock.ts';
import type { Timer } from './virtual-clock.ts';

/** Where virtual time begins, for code that reads dates. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

export interface VirtualTime {
  readonly seed: number;
  /** What takes the place of globals beside the clock. @defaultValue nothing */
  readonly platform?: Platform | undefined;
}

let active = false;

/**
 * Runs `begin` and then everything that it has set timers for; the real ones are back when it returns.
 *
 * @throws Error while there is virtual time already: there is one `Date` for all.
 */
export async function withVirtualTime(
  { seed, platform }: VirtualTime,
  begin: (clock: VirtualClock) => void,
): Promise<VirtualClock> {
  if (active) throw new Error('There is virtual time already; wait for its end.');
  active = true;
  const clock = new VirtualClock();
  const { setTimeout, clearTimeout, AbortController, Headers, Response } = globalThis;
  const { now: dateNow } = Date;
  const { random } = Math;
  // As Node does: whole milliseconds, and one at least.
  const setVirtual = (call: () => void, delayMs = 0): Timer =>
    clock.at(clock.nowMs + Math.max(1, Math.trunc(delayMs)), call);
  const clearVirtual = (timer: Timer | undefined): void => {
    if (timer !== undefined) clock.cancel(timer);
  };
  Object.assign(globalThis, { setTimeout: setVirtual, clearTimeout: clearVirtual, ...platform });
  Date.now = () => EPOCH_MS + clock.nowMs;
  performance.now = () => clock.nowMs;
  Math.random = seededRandom(seed);
  try {
    begin(clock);
    await clock.run();
  } finally {
    active = false;
    Object.assign(globalThis, { setTimeout, clearTimeout, AbortController, Headers, Response });
    Date.now = dateNow;
    // It lives on the prototype.
    Reflect.deleteProperty(performance, 'now');
    Math.random = random;
  }
  return clock;
}
