/**
 * The writes of lease mode, each an atomic step from one row to the next. Pure. The statements of the store do
 * the same in SQL; the tests explore every order of these, and hold the statements against them.
 */

import type { CompletedRecord, Fence, PendingRecord, StoredRecord, UnknownRecord } from './record.ts';

/** A record and its journal: which steps are done, and who recorded them. */
export interface Row {
  readonly record: StoredRecord;
  readonly steps: readonly { readonly name: string; readonly fence: Fence }[];
}

/** What the holder of a fence may write, if it still is the holder. */
export type HolderWrite =
  | { readonly kind: 'renew'; readonly leaseMs: number }
  | { readonly kind: 'record-step'; readonly name: string }
  | { readonly kind: 'complete'; readonly answer: CompletedRecord }
  /** Nothing was done. `settled`: somebody has found that out for all attempts, not for this one alone. */
  | { readonly kind: 'release'; readonly settled: boolean }
  | { readonly kind: 'abandon' };

export type Write =
  | {
      readonly kind: 'claim';
      readonly fence: Fence;
      readonly leaseMs: number;
      readonly fingerprintVersion: number;
      readonly fingerprint: Buffer;
    }
  /** By whoever read an abandoned record with the fence `seen`. `rerun`: to execute, not to find out. */
  | {
      readonly kind: 'take-over';
      readonly seen: Fence;
      readonly fence: Fence;
      readonly leaseMs: number;
      readonly rerun: boolean;
    }
  | ({ readonly fence: Fence } & HolderWrite)
  | { readonly kind: 'sweep' };

/** The row after a write, `undefined` for none; or `refused`, and the row is as it was. */
export type Written = { readonly row: Row | undefined } | 'refused';

/** Says what a write makes of a row at a moment of the store's clock. */
export function write(row: Row | undefined, intent: Write, clockMs: number): Written {
  switch (intent.kind) {
    case 'claim':
      return claim(row, intent, clockMs);
    case 'take-over':
      return takeOver(row, intent, clockMs);
    case 'sweep':
      // Only what is completed: whoever holds a lease, or has left one, must find the record again.
      return row !== undefined && isVacant(row.record, clockMs) ? { row: undefined } : 'refused';
    default:
      // A late holder: another one has taken over since, and its outcome stands.
      if (row?.record.state !== 'pending' || row.record.fence !== intent.fence) return 'refused';
      return writeOfHolder({ ...row, record: row.record }, intent, clockMs);
  }
}

/** Whether the key is new again. */
export function isVacant(record: StoredRecord, clockMs: number): boolean {
  return record.state === 'completed' && clockMs >= record.takeoverMs;
}

/** Whether nobody is at work. A lease that cannot be read is held: nobody may execute beside its holder. */
export function isAbandoned(record: PendingRecord | UnknownRecord, clockMs: number): boolean {
  return record.state === 'unknown' || clockMs >= record.leaseUntilMs;
}

function claim(
  row: Row | undefined,
  { fence, leaseMs, fingerprintVersion, fingerprint }: Extract<Write, { kind: 'claim' }>,
  clockMs: number,
): Written {
  // Its own claim, of which it has heard nothing, is granted again. One that arrives a second time must not
  // take the steps that its attempt has recorded since.
  const own = row?.record.state === 'pending' && row.record.fence === fence;
  if (row !== undefined && !own && !isVacant(row.record, clockMs)) return 'refused';
  const leaseUntilMs = clockMs + leaseMs;
  const record: PendingRecord = {
    state: 'pending',
    fence,
    attempt: 1,
    leaseUntilMs,
    fingerprintVersion,
    fingerprint,
  };
  return { row: { record, steps: own ? row.steps : [] } };
}

function takeOver(
  row: Row | undefined,
  { seen, fence, leaseMs, rerun }: Extract<Write, { kind: 'take-over' }>,
  clockMs: number,
): Written {
  if (row === undefined || row.record.state === 'completed') return 'refused';
  // One compare-and-set: between the look and this write the holder may have renewed or completed, or another
  // may have taken over.
  if (row.record.fence !== seen || !isAbandoned(row.record, clockMs)) return 'refused';
  const { fingerprintVersion, fingerprint, attempt } = row.record;
  const record: PendingRecord = {
    state: 'pending',
    fence,
    attempt: rerun ? attempt + 1 : attempt,
    leaseUntilMs: clockMs + leaseMs,
    fingerprintVersion,
    fingerprint,
  };
  return { row: { ...row, record } };
}

function writeOfHolder(
  { record, steps }: Row & { readonly record: PendingRecord },
  intent: HolderWrite,
  clockMs: number,
): Written {
  switch (intent.kind) {
    case 'renew':
      return { row: { record: { ...record, leaseUntilMs: clockMs + intent.leaseMs }, steps } };
    case 'record-step':
      return recordStep({ record, steps }, intent.name);
    case 'complete':
      // The journal goes with the attempt: what is kept is the answer.
      return { row: { record: intent.answer, steps: [] } };
    case 'release':
      // An attempt that follows another, or has done a part, cannot say that nothing was done.
      return intent.settled || (record.attempt === 1 && steps.length === 0)
        ? { row: undefined }
        : { row: { record: abandoned(record), steps } };
    case 'abandon':
      return { row: { record: abandoned(record), steps } };
  }
}

function recordStep({ record, steps }: Row & { readonly record: PendingRecord }, name: string): Written {
  const { fence } = record;
  const there = steps.find((step) => step.name === name);
  if (there === undefined) return { row: { record, steps: [...steps, { name, fence }] } };
  // Its own, of which it has heard nothing, is recorded already.
  return there.fence === fence ? { row: { record, steps } } : 'refused';
}

function abandoned({ fingerprintVersion, fingerprint, fence, attempt }: PendingRecord): UnknownRecord {
  return { state: 'unknown', fence, attempt, fingerprintVersion, fingerprint };
}
