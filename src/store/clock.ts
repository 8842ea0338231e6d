/** Postgres's clock, as far as this process can tell without asking. */

/**
 * Follows the clock of the database by what its answers say, on this process's monotonic clock: a jump of
 * the local wall clock changes nothing.
 */
export class StoreClock {
  #offsetMs: number | undefined;

  /**
   * Takes in what a claim or an inspection read from `clock_timestamp()`, in milliseconds, and when it was
   * asked, by `performance.now()`. Not when it was answered: an answer may be on its way for as long as its
   * timeout, or wait in a process that was stopped, and a clock that is late replays what has expired.
   */
  observe(clockMs: number, askedMs: number): void {
    this.#offsetMs = clockMs - askedMs;
  }

  /** Milliseconds of the database's clock, never late, ahead by no more than a round trip; `undefined` before the first. */
  now(): number | undefined {
    return this.#offsetMs === undefined ? undefined : performance.now() + this.#offsetMs;
  }
}
