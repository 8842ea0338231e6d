/**
 * From when on a relay looks for events. As long as somebody's transaction holds on to an old snapshot, Postgres keeps
 * whatever was published since, and a look from the beginning passes by all of it. So most looks begin where the last
 * one has ended; and because what is committed late, or given back by a claim that failed, may be behind that, one
 * from the beginning follows whenever it costs no more than a tenth of the time.
 */

import type { ClaimedEvents } from '../store/outbox-port.ts';

/** What is added now may be committed a little later, and be found at once all the same. */
const OVERLAP_MS = 1000;
const SHARE = 9;

export class Search {
  #doneMs: number | undefined;
  #fullAtMs = Number.NEGATIVE_INFINITY;
  #fullTookMs = 0;
  #isFull = true;

  /** From when on to look, by the store's clock; `undefined`: from the beginning. */
  sinceMs(nowMs: number = performance.now()): number | undefined {
    const due = nowMs - this.#fullAtMs >= this.#fullTookMs * SHARE;
    this.#isFull = due || this.#doneMs === undefined;
    return this.#isFull ? undefined : this.#doneMs! - OVERLAP_MS;
  }

  /** Takes note of what a look has found. */
  found(
    { doneMs, askedMs }: Pick<ClaimedEvents, 'doneMs' | 'askedMs'>,
    nowMs: number = performance.now(),
  ): void {
    this.#doneMs = doneMs;
    if (!this.#isFull) return;
    this.#fullAtMs = nowMs;
    this.#fullTookMs = nowMs - askedMs;
  }
}
