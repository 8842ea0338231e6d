/** When a relay looks again: at once while there is much to do, and ever more rarely while there is nothing. */

export interface PaceOptions {
  readonly pollMinMs: number;
  readonly pollMaxMs: number;
}

/** What a round came to. `full`: there may be more; `some`: not for now; `none`: nothing went forward. */
export type Yield = 'full' | 'some' | 'none';

export class Pace {
  readonly #options: PaceOptions;
  readonly #random: () => number;
  #idleMs: number;
  #hinted = false;
  #wake: (() => void) | undefined;

  constructor(options: PaceOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
    this.#idleMs = options.pollMinMs;
  }

  /** How long to wait after such a round, in milliseconds. */
  next(yielded: Yield): number {
    const { pollMinMs, pollMaxMs } = this.#options;
    if (yielded === 'full') {
      this.#idleMs = pollMinMs;
      return 0;
    }
    if (yielded === 'some') {
      this.#idleMs = pollMinMs;
      return pollMinMs;
    }
    const idleMs = this.#idleMs;
    this.#idleMs = Math.min(idleMs * 2, pollMaxMs);
    // With jitter, so that relays that were started together do not ask together.
    return idleMs * (0.75 + this.#random() / 4);
  }

  /** There may be something to do. Not before the shortest wait is over: a hint comes with each commit. */
  hint(): void {
    this.#hinted = true;
    this.#idleMs = this.#options.pollMinMs;
    this.#wake?.();
  }

  /** Waits that long, or after a hint the shortest time. Ends at once when the signal aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    const { pollMinMs } = this.#options;
    const since = performance.now();
    if (ms > pollMinMs && !this.#hinted) await this.#sleep(ms, signal, true);
    const remainingMs = Math.min(ms, pollMinMs) - (performance.now() - since);
    if (remainingMs > 0) await this.#sleep(remainingMs, signal, false);
    this.#hinted = false;
  }

  #sleep(ms: number, signal: AbortSignal, wakeable: boolean): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      if (wakeable) this.#wake = done;
    });
  }
}
