/** What consumers know an event by. */

import { createHash } from 'node:crypto';

/**
 * Names the period of a call's retention that an attempt has begun in, which is what tells the executions of one key
 * apart. The next one follows when the record of the last has expired, and so begins at least `ttlMs` after it: never
 * in the same period. Were the key all, a consumer would take the event of the next execution for a repetition.
 *
 * By Postgres's clock, which decides about the expiry as well: of two processes' clocks one may be behind.
 */
export function periodOf(clockMs: number, ttlMs: number): string {
  // With its length, because another `ttl` counts other periods.
  return `${ttlMs}:${Math.floor(clockMs / ttlMs)}`;
}

/**
 * Derives the id of the event that is the `ordinal`th of its attempt, or of a step of it, from 0: the same in every
 * attempt of one call that begins in the same period and adds the same events in the same order. A UUID of version 8,
 * the one that is free to be made like this. The recipe never changes: consumers remember its results.
 */
export function eventIdOf({
  identity,
  period,
  step,
  ordinal,
}: {
  readonly identity: Buffer;
  /** `''`: without a key, where the identity is that of one attempt. */
  readonly period: string;
  /** `''`: outside of steps. */
  readonly step: string;
  readonly ordinal: number;
}): string {
  const digest = createHash('sha256')
    .update('graphql-idempotency event\n')
    .update(identity)
    .update(lengthOf(period))
    .update(period)
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

/** Before a text, so that one that ends in digits is not taken for another that goes on with others. */
function lengthOf(text: string): string {
  return `${Buffer.byteLength(text)}\n`;
}
