/** What is stored of a call, as the rest of the library sees it. Times are milliseconds of Postgres's clock. */

/** How a completed call ended. `omitted`: it is done, but its result could not be stored. */
export type RecordOutcome = 'result' | 'error' | 'omitted';

/** The token that every write of an attempt in lease mode must match: 60 random bits, as decimal text. */
export type Fence = string & { readonly __brand: 'Fence' };

interface RecordBase {
  readonly fingerprintVersion: number;
  readonly fingerprint: Buffer;
}

export interface CompletedRecord extends RecordBase {
  readonly state: 'completed';
  readonly outcome: RecordOutcome;
  readonly codecVersion: number;
  readonly encryptionKeyId: string | null;
  /** The encoded result or error; `null` once it was swept, erased or omitted. */
  readonly body: Buffer | null;
  readonly completedMs: number;
  readonly expiresMs: number;
  readonly takeoverMs: number;
}

/** An attempt of lease mode that has not completed. */
export interface PendingRecord extends RecordBase {
  readonly state: 'pending';
  readonly fence: Fence;
  readonly attempt: number;
  readonly leaseUntilMs: number;
}

/** An attempt of lease mode whose effect nobody could establish yet. */
export interface UnknownRecord extends RecordBase {
  readonly state: 'unknown';
  readonly fence: Fence;
  readonly attempt: number;
}

export type StoredRecord = CompletedRecord | PendingRecord | UnknownRecord;
