/** Reads what the SQL functions return. */

import type { CompletedRecord, StoredRecord } from '../../record/record.ts';
import type { NewRecord, Origin, Sighting } from '../port.ts';
import type { ClaimSettings } from './statements.ts';

/** A row of the claim. The record's columns are null where there is no record. */
export interface ClaimRow {
  readonly granted: boolean;
  readonly in_recovery: boolean;
  readonly claim_role: string;
  readonly claim_authorization: string;
  readonly claim_synchronous_commit: string;
  readonly clock_ms: number;
  readonly state: 'pending' | 'completed' | 'unknown' | null;
  readonly outcome: 'result' | 'error' | 'omitted';
  readonly lease_until_ms: number;
  readonly completed_ms: number;
  readonly expires_ms: number;
  readonly takeover_ms: number;
  readonly fingerprint_version: number;
  readonly fingerprint: Buffer;
  readonly codec_version: number;
  readonly encryption_key_id: string | null;
  readonly body: Buffer | null;
}

/** The answer of the function `complete`. */
export interface CompleteRow {
  readonly completed_ms: number;
}

function recordOf(row: ClaimRow): StoredRecord | undefined {
  const { fingerprint_version: fingerprintVersion, fingerprint } = row;
  switch (row.state) {
    case null:
      return undefined;
    case 'pending':
      return { state: 'pending', fingerprintVersion, fingerprint, leaseUntilMs: row.lease_until_ms };
    case 'unknown':
      return { state: 'unknown', fingerprintVersion, fingerprint };
    case 'completed':
      return {
        state: 'completed',
        fingerprintVersion,
        fingerprint,
        outcome: row.outcome,
        codecVersion: row.codec_version,
        encryptionKeyId: row.encryption_key_id,
        body: row.body,
        completedMs: row.completed_ms,
        expiresMs: row.expires_ms,
        takeoverMs: row.takeover_ms,
      };
  }
}

export function sightingOf(row: ClaimRow, origin: Origin): Sighting {
  return { record: recordOf(row), granted: row.granted, clockMs: row.clock_ms, origin };
}

export function settingsOf(row: ClaimRow): ClaimSettings {
  return {
    role: row.claim_role,
    authorization: row.claim_authorization,
    synchronousCommit: row.claim_synchronous_commit,
  };
}

export function completedRecord(record: NewRecord, row: CompleteRow): CompletedRecord {
  return {
    state: 'completed',
    fingerprintVersion: record.fingerprintVersion,
    fingerprint: record.fingerprint,
    outcome: record.outcome,
    codecVersion: record.codecVersion,
    encryptionKeyId: null,
    body: record.body,
    completedMs: row.completed_ms,
    expiresMs: row.completed_ms + record.ttlMs,
    takeoverMs: row.completed_ms + record.ttlMs + record.tombstoneTtlMs,
  };
}
