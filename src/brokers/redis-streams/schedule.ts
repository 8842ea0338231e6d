/** When a consumer looks for messages that are anybody's: now and then, and when one that failed is due again. */

export interface Schedule {
  /** Milliseconds until the next look, or 0. */
  wait(): number;
  /** Looks that are due are over; `again`, the next is due at once. */
  looked(again: boolean): void;
  dueIn(ms: number): void;
  /** How many failed messages wait for their time. */
  waiting(): number;
}

/** Redis counts in whole milliseconds, and begins a little later. */
const SLACK_MS = 3;

export function createSchedule(everyMs: number, now: () => number = () => performance.now()): Schedule {
  let next = 0;
  let dues: number[] = [];
  return {
    wait: () => Math.max(0, Math.min(next, ...dues) - now()),
    looked(again) {
      next = again ? 0 : now() + everyMs;
      dues = dues.filter((due) => due > now());
    },
    dueIn(ms) {
      dues.push(now() + ms + SLACK_MS);
    },
    waiting: () => dues.length,
  };
}
