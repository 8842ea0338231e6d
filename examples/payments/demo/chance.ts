/** Chance that can be had again: the same seed gives the same numbers. */

import { createHash } from 'node:crypto';

export class Chance {
  readonly #seed: string;
  #drawn = 0;

  constructor(seed: string) {
    this.#seed = seed;
  }

  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number {
    this.#drawn += 1;
    const digest = createHash('sha256').update(`${this.#seed} ${this.#drawn}`).digest();
    return from + (digest.readUInt32BE() % (to - from + 1));
  }

  /** The same things in another order. */
  shuffle<T>(things: readonly T[]): T[] {
    const drawn = things.map((thing) => ({ thing, place: this.between(0, 1_000_000) }));
    return drawn.toSorted((one, other) => one.place - other.place).map(({ thing }) => thing);
  }
}
