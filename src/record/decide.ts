/** The state machine: what a call may do, given the record that it met. Pure. */

import { CODEC_VERSION } from './codec.ts';
import type { CompletedRecord, StoredRecord } from './record.ts';

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
  /** An abandoned attempt: nobody knows yet whether its effect happened. */
  | { readonly kind: 'unknown' }
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
  const { record, granted } = encounter;
  const vacant: Decision = granted ? { kind: 'execute' } : { kind: 'busy' };
  if (record === undefined) return vacant;
  switch (record.state) {
    case 'completed':
      if (encounter.clockMs >= record.takeoverMs) return vacant;
      if (encounter.clockMs >= record.expiresMs) return { kind: 'expired' };
      return compare(record, encounter) ?? replayOf(record);
    case 'pending':
      return (
        compare(record, encounter) ?? { kind: encounter.clockMs < record.leaseUntilMs ? 'busy' : 'unknown' }
      );
    case 'unknown':
      return compare(record, encounter) ?? { kind: 'unknown' };
  }
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
