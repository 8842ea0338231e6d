/**
 * Knows what was asked: the recipe of the fingerprint.
 *
 *     fingerprint = SHA-256("graphql-idempotency/fingerprint/1" 00  string(coordinate) object(arguments))
 *
 * `string` and `object` are tokens of the canonical encoding (`canonical-writer.ts`); which arguments and input
 * fields the object holds is told in `canonical-walk.ts`. A change of any of the three needs a new version.
 */

import { hash } from 'node:crypto';
import type { GraphQLArgument } from 'graphql';
import { canonicalBytes } from './canonical-walk.ts';
import type { PayloadLimits } from './canonical-walk.ts';
import { CanonicalWriter } from './canonical-writer.ts';
import { defaultFormOf } from './default-form.ts';
import { sortedDefinitions } from './input-definitions.ts';
import { omittedPathsOf } from './omitted-paths.ts';
import { PayloadRefusal, payloadError } from './payload-refusal.ts';

/** Hash of what was asked. 32 bytes. */
export type Fingerprint = Buffer & { readonly __brand: 'Fingerprint' };

/** The version of the recipe, stored with every record. */
export const FINGERPRINT_VERSION = 1;

/** How much of a client's arguments is looked at. */
export type FingerprintLimits = PayloadLimits;

/** A call of a guarded field. */
export interface FingerprintedCall {
  readonly coordinate: string;
  /** The field's argument definitions. The same array on every call is faster. */
  readonly args: readonly GraphQLArgument[];
  /** The coerced arguments. */
  readonly values: Readonly<Record<string, unknown>>;
  /**
   * The argument paths that do not count. A path through a list holds for each of its elements; a path into
   * a custom scalar matches nothing. The same array on every call is faster.
   */
  readonly omit: readonly (readonly string[])[];
  readonly limits: FingerprintLimits;
}

/**
 * Returns the fingerprint of a call. Reads the arguments and calls none of their methods.
 *
 * @throws IdempotencyError PAYLOAD_UNSUPPORTED for what has no canonical form, PAYLOAD_TOO_LARGE beyond the
 * limits; both name the field and the argument's path, never a value.
 */
export function fingerprintOf(call: FingerprintedCall): Fingerprint {
  const input = {
    definitions: sortedDefinitions(call.args),
    values: call.values,
    omit: omittedPathsOf(call.omit),
  };
  try {
    const payload = canonicalBytes(input, call.limits, defaultFormOf);
    return hash('sha256', Buffer.concat([headerOf(call.coordinate), payload]), 'buffer') as Fingerprint;
  } catch (error) {
    if (error instanceof PayloadRefusal) throw payloadError(call.coordinate, error);
    throw error;
  }
}

const TAG = Buffer.from(`graphql-idempotency/fingerprint/${FINGERPRINT_VERSION}\0`, 'latin1');

function headerOf(coordinate: string): Buffer {
  const writer = new CanonicalWriter(Number.POSITIVE_INFINITY, () => {
    throw new RangeError('unreachable: the header has no limit');
  });
  writer.string(coordinate);
  return Buffer.concat([TAG, writer.bytesFrom(0)]);
}
