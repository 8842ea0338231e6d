/** A clock that a test turns itself, in the place of the process's: an hour takes as long as its callbacks. */

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

export interface VirtualClockOptions {
  /** Where `Math.random` starts. @defaultValue 1 */
  readonly seed?: number;
}

export interface VirtualClock {
  /** Milliseconds since the clock began. */
  now(): number;
  /** Timers that the code under test has set, and neither cleared nor seen fire. */
  timers(): number;
  /** Calls the test's own `fire` later; not one of `timers()`. */
  after(delayMs: number, fire: () => void): void;
  /** Turns `Date.now` without the timers, as a computer does that sleeps or is set right. */
  jump(byMs: number): void;
  /** Turns until the promise is settled. @throws Error when it waits for nothing any more */
  until<Value>(promise: Promise<Value>): Promise<Value>;
  /** Turns until nothing is waited for. */
  toTheEnd(): Promise<void>;
  /** Gives the process its own clock back. */
  restore(): void;
}

const STARTED_AT = Date.UTC(2026, 0, 1);
const ownImmediate = globalThis.setImmediate;

/** Takes the place of `setTimeout`, `clearTimeout`, `Date.now` and `Math.random`. */
export function useVirtualClock({ seed = 1 }: VirtualClockOptions = {}): VirtualClock {
  const own = { setTimeout, clearTimeout, now: Date.now, random: Math.random };
  const waiting = new Map<number, Timer>();
  const ours = new Set<number>();
  let nowMs = 0;
  let jumpedMs = 0;
  let order = 0;
  let state = seed | 0;

  function add(delayMs: number, fire: () => void): number {
    order += 1;
    waiting.set(order, { at: nowMs + Math.max(0, delayMs), order, fire });
    return order;
  }

  function turn(): boolean {
    let next: Timer | undefined;
    for (const timer of waiting.values()) if (next === undefined || timer.at < next.at) next = timer;
    if (next === undefined) return false;
    waiting.delete(next.order);
    ours.delete(next.order);
    nowMs = Math.max(nowMs, next.at);
    next.fire();
    return true;
  }

  globalThis.setTimeout = ((fire: () => void, delayMs = 0) => add(delayMs, fire)) as never;
  globalThis.clearTimeout = ((timer: number | undefined) => {
    if (timer !== undefined) waiting.delete(timer);
  }) as never;
  Date.now = () => STARTED_AT + nowMs + jumpedMs;
  Math.random = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  return {
    now: () => nowMs,
    timers: () => waiting.size - ours.size,
    after(delayMs, fire) {
      ours.add(add(delayMs, fire));
    },
    jump(byMs) {
      jumpedMs += byMs;
    },
    async until(promise) {
      let settled = false;
      const settle = (): void => {
        settled = true;
      };
      promise.then(settle, settle);
      await quiet();
      while (!settled) {
        if (!turn()) throw new Error('The promise is pending, and nothing is waited for.');
        await quiet();
      }
      return promise;
    },
    async toTheEnd() {
      do await quiet();
      while (turn());
    },
    restore() {
      Object.assign(globalThis, { setTimeout: own.setTimeout, clearTimeout: own.clearTimeout });
      Date.now = own.now;
      Math.random = own.random;
    },
  };
}

/** Resolves when all promises that could go on have done so. */
function quiet(): Promise<void> {
  return new Promise((resolve) => {
    ownImmediate(resolve);
  });
}
