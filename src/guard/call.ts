/** One guarded call: who asks what, decided before anything runs, and never changed after. */

import type { FieldRule } from '../directive/field-rule.ts';
import type { Fingerprint } from '../fingerprint/fingerprint.ts';
import type { Identity } from '../key/identity.ts';
import type { Key } from '../key/key-form.ts';

/** What the author of a guarded field, or the caller of `guard()`, decided. */
export type CallRule = Pick<FieldRule, 'mode' | 'inFlight' | 'abandoned'>;

export interface GuardedCall {
  readonly coordinate: string;
  readonly rule: CallRule;
  readonly key: Key;
  readonly identity: Identity;
  readonly scopeHash: Buffer;
  readonly fingerprint: Fingerprint;
  readonly fingerprintVersion: number;
  readonly ttlMs: number;
}
