/** How many retries the clients of a process may make together: a share of their requests. */

export interface RetryBudgetOptions {
  /** Retries that each request earns, from 0 to 1. @defaultValue 0.1 */
  readonly share?: number;
  /** Retries that come on top in each minute, and the most that are saved up. @defaultValue 10 */
  readonly minimumPerMinute?: number;
}

/**
 * A token bucket that every first send fills a little, and every retry takes a whole token from. While a server
 * is down nearly all requests fail, and clients that retry each of them are the load that it can't come back
 * under. With a budget the load stays near `1 + share`, whatever the clients are told.
 *
 * @example
 * ```ts
 * const budget = new RetryBudget({ share: 0.2 });
 * const send = idempotentFetch({ budget });
 * ```
 */
export class RetryBudget {
  readonly #share: number;
  readonly #minimumPerMinute: number;
  #tokens: number;
  #filledAt = Date.now();

  constructor({ share = 0.1, minimumPerMinute = 10 }: RetryBudgetOptions = {}) {
    if (!(share >= 0 && share <= 1)) throw new RangeError('share must be a number from 0 to 1.');
    if (!(minimumPerMinute >= 0 && minimumPerMinute < Infinity)) {
      throw new RangeError('minimumPerMinute must be a number of at least 0.');
    }
    this.#share = share;
    this.#minimumPerMinute = minimumPerMinute;
    this.#tokens = minimumPerMinute;
  }

  /** Counts a first send. */
  earn(): void {
    this.#fill();
    this.#add(this.#share);
  }

  /** Takes a token for a retry; false where there is none. */
  take(): boolean {
    this.#fill();
    // Ten times a tenth is a little less than one.
    if (this.#tokens < 1 - 1e-9) return false;
    this.#tokens -= 1;
    return true;
  }

  #fill(): void {
    const now = Date.now();
    // A clock that was set back gives nothing, and takes nothing.
    const elapsedMs = Math.max(0, now - this.#filledAt);
    this.#filledAt = now;
    this.#add((elapsedMs / 60_000) * this.#minimumPerMinute);
  }

  #add(tokens: number): void {
    // One at least can be saved up, and what comes in beyond it: a share without a minimum is worth all of itself.
    this.#tokens = Math.min(Math.max(1 + this.#share, this.#minimumPerMinute), this.#tokens + tokens);
  }
}

/** The budget of everything in this process that was given none of its own. */
export const sharedRetryBudget: RetryBudget = new RetryBudget();
