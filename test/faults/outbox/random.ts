/** Choices that look random, and are the same for the same seed and purpose, in whichever process they are made. */

import { createHash } from 'node:crypto';

export interface Choices {
  /** From 0 to 1, without 1. */
  share(): number;
  /** A whole number from 0, below the bound. */
  below(bound: number): number;
  pick<T>(items: readonly T[]): T;
  shuffle<T>(items: readonly T[]): T[];
}

/** The purpose keeps choices apart: those of one call do not depend on how many others were made before. */
export function choicesFor(seed: number, purpose: string): Choices {
  let block = Buffer.alloc(0);
  let blocks = 0;
  let at = 0;

  function share(): number {
    if (at >= block.length) {
      block = createHash('sha256').update(`${seed}/${purpose}/${blocks}`).digest();
      blocks += 1;
      at = 0;
    }
    at += 4;
    return block.readUInt32BE(at - 4) / 2 ** 32;
  }

  const below = (bound: number): number => Math.floor(share() * bound);
  return {
    share,
    below,
    pick: (items) => items[below(items.length)]!,
    shuffle(items) {
      const shuffled = [...items];
      for (let last = shuffled.length - 1; last > 0; last -= 1) {
        const other = below(last + 1);
        [shuffled[last], shuffled[other]] = [shuffled[other]!, shuffled[last]!];
      }
      return shuffled;
    },
  };
}
