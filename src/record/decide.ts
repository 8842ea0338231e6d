/** The state machine, as a call meets it: what it may do, given the record that is there. Pure. */

import { CODEC_VERSION } from './codec.ts';
import { isAbandoned, isVacant } from './lease.ts';
import type { CompletedRecord, Fence, StoredRecord } from './record.ts';

export type Decision =
  /** Nobody has this identity: run the resolver. */
  | { readonly kind: 'execute' }
  /** The first answer is there. */
  | { readonly kind: 'replay'; readonly outcome: 'result' | 'error'; readonly body: Buffer }
  /** The key was used for something else. */
  | { readonly kind: 'mismatch' }
  /** Somebody is executing it now. */
  | { readonly kind: 'busy' }
  /** The record has expired, and the key may not be taken over yet. */
  | { readonly kind: 'expired' }
  /** Nobody is at work any more, and nobody knows whether the effect happened. */
  | { readonly kind: 'abandoned'; readonly fence: Fence; readonly attempt: number }
  /** It is done, and its result was not stored. */
  | { readonly kind: 'omitted' }
  /** A newer build wrote it by rules that this build does not know. */
  | { readonly kind: 'unsupported' };

export interface Encounter {
  /** The row as it was when the claim read it. */
  readonly record: StoredRecord | undefined;
  /** Whether the claim got the identity's lock. A courtesy: it decides only where no row does. */
  readonly granted: boolean;
  /** Postgres's clock at that moment. */
  readonly clockMs: number;
  readonly fingerprintVersion: number;
  readonly fingerprint: Buffer;
}

/** Decides from the row's state, never from the mode that the field has today. */
export function decide(encounter: Encounter): Decision {
  const { record, clockMs, granted } = encounter;
  if (record === undefined || isVacant(record, clockMs)) return { kind: granted ? 'execute' : 'busy' };
  if (record.state === 'completed') {
    if (clockMs >= record.expiresMs) return { kind: 'expired' };
    return compare(record, encounter) ?? replayOf(record);
  }
  const { fence, attempt } = record;
  return (
    compare(record, encounter) ??
    (isAbandoned(record, clockMs) ? { kind: 'abandoned', fence, attempt } : { kind: 'busy' })
  );
}

function compare(record: StoredRecord, encounter: Encounter): Decision | undefined {
  if (record.fingerprintVersion !== encounter.fingerprintVersion) return { kind: 'unsupported' };
  return record.fingerprint.equals(encounter.fingerprint) ? undefined : { kind: 'mismatch' };
}

function replayOf(record: CompletedRecord): Decision {
  if (record.outcome === 'omitted') return { kind: 'omitted' };
  if (record.encryptionKeyId !== null || record.codecVersion !== CODEC_VERSION)
    return { kind: 'unsupported' };
  // The body of an unexpired record is gone only when it was erased.
  if (record.body === null) return { kind: 'expired' };
  return { kind: 'replay', outcome: record.outcome, body: record.body };
}
