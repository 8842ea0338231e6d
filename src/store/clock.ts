/** Postgres's clock, as far as this process can tell without asking. */

/**
 * Follows the clock of the database by what its answers say, on this process's monotonic clock: a jump of
 * the local wall clock changes nothing.
 */
export class StoreClock {
  #offsetMs: number | undefined;

  /** Takes in what a claim or an inspection read from `clock_timestamp()`, in milliseconds. */
  observe(clockMs: number): void {
    this.#offsetMs = clockMs - performance.now();
  }

  /** Milliseconds of the database's clock, late by no more than the answer's way; `undefined` before the first. */
  now(): number | undefined {
    return this.#offsetMs === undefined ? undefined : performance.now() + this.#offsetMs;
  }
}
