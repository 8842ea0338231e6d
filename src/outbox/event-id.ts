/** What consumers know an event by. */

import { createHash } from 'node:crypto';

/**
 * Derives the id of the event that is the `ordinal`th of its attempt, or of a step of it, from 0: the same on every
 * attempt of one call that adds the same events in the same order. A UUID of version 8, the one that is free to be
 * made like this. The recipe never changes: consumers remember its results.
 */
export function eventIdOf({
  identity,
  step,
  ordinal,
}: {
  readonly identity: Buffer;
  /** `''`: outside of steps. */
  readonly step: string;
  readonly ordinal: number;
}): string {
  const digest = createHash('sha256')
    .update('graphql-idempotency event\n')
    .update(identity)
    .update(lengthOf(step))
    .update(step)
    .update(String(ordinal))
    .digest();
  digest[6] = (digest[6]! & 0x0f) | 0x80;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return [
    [0, 8],
    [8, 12],
    [12, 16],
    [16, 20],
    [20, 32],
  ]
    .map(([from, to]) => hex.slice(from, to))
    .join('-');
}

/** Before the name, so that a name that ends in digits is not taken for another with another ordinal. */
function lengthOf(step: string): string {
  return `${Buffer.byteLength(step)}\n`;
}
