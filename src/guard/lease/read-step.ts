/** Reads an entry of the journal. */

import type { GraphQLError } from 'graphql';
import { CODEC_VERSION, decode } from '../../record/codec.ts';
import { decodeError } from '../../record/stored-error.ts';
import type { RecordedStep } from '../../store/lease-port.ts';

export type ReadStep =
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'error'; readonly error: GraphQLError }
  /** The step is done, and what came of it cannot be told. */
  | { readonly kind: 'unreadable'; readonly why: string; readonly cause?: unknown };

/** Never throws: one damaged entry must not hide the others from whoever settles attempts. */
export function readStep({ outcome, codecVersion, body }: RecordedStep): ReadStep {
  if (outcome === 'omitted' || body === undefined) return { kind: 'unreadable', why: 'could not be stored' };
  if (codecVersion !== CODEC_VERSION) {
    return { kind: 'unreadable', why: 'was recorded by a newer version of graphql-idempotency' };
  }
  try {
    return outcome === 'result'
      ? { kind: 'result', value: decode(body) }
      : { kind: 'error', error: decodeError(body) };
  } catch (cause) {
    return { kind: 'unreadable', why: 'cannot be read', cause };
  }
}
