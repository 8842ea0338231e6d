/** Reads what the SQL functions return. */

import type { CompletedRecord, Fence, RecordOutcome, StoredRecord } from '../../record/record.ts';
import type { RecordedStep } from '../lease-port.ts';
import type { NewRecord, Origin, Sighting } from '../port.ts';
import type { ClaimSettings } from './statements.ts';

/** The answer of the function `claim`. */
export interface ClaimRow {
  readonly granted: boolean;
  readonly in_recovery: boolean;
  readonly claim_role: string;
  readonly claim_authorization: string;
  readonly claim_synchronous_commit: string;
  readonly clock_ms: number;
  readonly existing: ExistingRecord | null;
}

/** The row as `claim` writes it into JSON; bytes are hexadecimal. */
interface ExistingRecord extends Omit<CompletedRecord, 'state' | 'fingerprint' | 'body'> {
  readonly state: StoredRecord['state'];
  readonly fence: Fence;
  readonly attempt: number;
  readonly leaseUntilMs: number;
  readonly fingerprint: string;
  readonly body: string | null;
}

/** The answer of the function `complete`. */
export interface CompleteRow {
  readonly completed_ms: number;
  readonly wrote: boolean;
}

/** The answer of the function `claim_lease`. */
export interface ClaimLeaseRow {
  readonly granted: boolean;
  readonly clock_ms: number;
  readonly existing: ExistingRecord | null;
}

/** The answer of the function `complete_lease`; nulls where the lease is lost. */
export interface CompleteLeaseRow {
  readonly completed_ms: number | null;
  readonly expires_ms: number;
  readonly takeover_ms: number;
}

export interface StepRow {
  readonly name: string;
  readonly attempt: number;
  readonly outcome: RecordOutcome;
  readonly codec_version: number;
  readonly body: string | null;
}

export function stepOf({ name, attempt, outcome, codec_version, body }: StepRow): RecordedStep {
  return {
    name,
    attempt,
    outcome,
    codecVersion: codec_version,
    body: body === null ? undefined : Buffer.from(body, 'hex'),
  };
}

export function sightingOf(
  row: Pick<ClaimRow, 'granted' | 'clock_ms' | 'existing'>,
  origin: Origin,
): Sighting {
  const record = row.existing === null ? undefined : recordOf(row.existing);
  return { record, granted: row.granted, clockMs: row.clock_ms, origin };
}

export function settingsOf(row: ClaimRow): ClaimSettings {
  return {
    role: row.claim_role,
    authorization: row.claim_authorization,
    synchronousCommit: row.claim_synchronous_commit,
  };
}

export function completedRecord(record: NewRecord, row: CompleteRow): CompletedRecord {
  const expiresMs = row.completed_ms + record.ttlMs;
  return {
    state: 'completed',
    fingerprintVersion: record.fingerprintVersion,
    fingerprint: record.fingerprint,
    outcome: record.outcome,
    codecVersion: record.codecVersion,
    encryptionKeyId: null,
    body: record.body,
    completedMs: row.completed_ms,
    expiresMs,
    takeoverMs: expiresMs + record.tombstoneTtlMs,
  };
}

function recordOf(existing: ExistingRecord): StoredRecord {
  const { fingerprintVersion, leaseUntilMs, fence, attempt } = existing;
  const fingerprint = Buffer.from(existing.fingerprint, 'hex');
  switch (existing.state) {
    case 'pending':
      return { state: 'pending', fingerprintVersion, fingerprint, leaseUntilMs, fence, attempt };
    case 'unknown':
      return { state: 'unknown', fingerprintVersion, fingerprint, fence, attempt };
    case 'completed':
      return {
        state: 'completed',
        fingerprintVersion,
        fingerprint,
        outcome: existing.outcome,
        codecVersion: existing.codecVersion,
        encryptionKeyId: existing.encryptionKeyId,
        body: existing.body === null ? null : Buffer.from(existing.body, 'hex'),
        completedMs: existing.completedMs,
        expiresMs: existing.expiresMs,
        takeoverMs: existing.takeoverMs,
      };
  }
}
