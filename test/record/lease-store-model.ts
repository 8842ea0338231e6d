/** What a message does to the row: by the code under test, and held against what it may do. */

import { CODEC_VERSION } from '../../src/record/codec.ts';
import { decide } from '../../src/record/decide.ts';
import type { Decision } from '../../src/record/decide.ts';
import { isAbandoned } from '../../src/record/lease.ts';
import type { Row, Write, write } from '../../src/record/lease.ts';
import type { CompletedRecord, Fence, StoredRecord } from '../../src/record/record.ts';
import type { Message, ModelRow } from './lease-world.ts';

/** How long things last, in ticks of the clock. */
export const LEASE = 1;
const TTL = 1;
const TOMBSTONE = 1;

/** Clocks count down to this moment. */
const NOW = 1_000;
const FINGERPRINT = Buffer.alloc(32, 1);
const ASKED = { fingerprintVersion: 1, fingerprint: FINGERPRINT };
const BODY = Buffer.from('"body"');
const FENCES = Array.from({ length: 32 }, (_, name) => String(name) as Fence);

export type WriteFunction = typeof write;

/** What became of a message. */
export interface Applied {
  readonly accepted: boolean;
  readonly row: ModelRow | undefined;
}

/** A promise that was broken. */
export class Violation extends Error {}

export type Apply = (row: ModelRow | undefined, message: Message | 'sweep') => Applied;

/** Makes the function that delivers a message to the row; `onWrite` is told of each, and whether it was accepted. */
export function storeModel(writeFunction: WriteFunction, onWrite: (what: string) => void): Apply {
  return (row, message) => {
    const intent = message === 'sweep' ? ({ kind: 'sweep' } as const) : intentOf(message);
    const before = row && realRow(row);
    const written = writeFunction(before, intent, NOW);
    const accepted = written !== 'refused';
    onWrite(`${intent.kind} ${accepted ? 'accepted' : 'refused'}`);
    const after = accepted ? modelRow(row, written.row, message) : row;
    assertAllowed({ row, message, accepted, after });
    return { accepted, row: after };
  };
}

/** What a call does that finds this row. */
export function decisionOn(row: ModelRow | undefined, granted: boolean): Decision {
  return decide({ ...ASKED, granted, clockMs: NOW, record: row && recordOf(row) });
}

/** Whether the list of abandoned attempts has it. */
export function isListed(row: ModelRow | undefined): row is ModelRow {
  if (row === undefined) return false;
  const record = recordOf(row);
  return record.state !== 'completed' && isAbandoned(record, NOW);
}

function assertAllowed(event: {
  readonly row: ModelRow | undefined;
  readonly message: Message | 'sweep';
  readonly accepted: boolean;
  readonly after: ModelRow | undefined;
}): void {
  const { row, message, accepted, after } = event;
  const kind = message === 'sweep' ? 'sweep' : message.kind;
  const own = message !== 'sweep' && row !== undefined && message.fence === row.fence;
  const live = row !== undefined && !(row.state === 'completed' && row.takeover === 0);
  if (kind === 'claim') {
    const free = decisionOn(row, true).kind === 'execute';
    if (accepted !== (free || (own && row.state === 'pending')))
      throw new Violation('a claim and the decision about it disagree');
  }
  if (!accepted) return;
  if (row?.state === 'completed' && live) throw new Violation('a completed record changed');
  if (kind === 'sweep') {
    if (live) throw new Violation('what is not over was swept');
    return;
  }
  if (kind === 'claim') {
    if (live && !own) throw new Violation('a claim was granted over the row of another');
    if (live && row.steps.some((fence, step) => fence !== after?.steps[step]))
      throw new Violation('a recorded step was lost');
    return;
  }
  if (row === undefined || row.state === 'completed') throw new Violation('a write made a row');
  const { fence, seen, flag } = message as Message;
  const stale = kind === 'take-over' ? seen !== row.fence : fence !== row.fence || row.state !== 'pending';
  if (stale) throw new Violation('a stale fence wrote');
  if (kind === 'take-over' && !isListed(row)) throw new Violation('a lease was taken from its holder');
  if (after === undefined) {
    if (kind !== 'release') throw new Violation('a row vanished');
    if (!flag && (row.runs > 1 || row.attempt > 1 || row.steps.some((by) => by !== 0)))
      throw new Violation('what earlier attempts or steps have done was forgotten');
    return;
  }
  if (after.state === 'completed') {
    if (kind !== 'complete') throw new Violation('something else completed it');
    return;
  }
  if (row.steps.some((by, step) => by !== 0 && by !== after.steps[step]))
    throw new Violation('a recorded step was lost');
  const attempts = after.attempt - row.attempt;
  if (attempts !== (kind === 'take-over' && flag ? 1 : 0)) throw new Violation('attempts were miscounted');
}

function intentOf({ kind, fence, seen, flag, step }: Message): Write {
  const holder = FENCES[fence]!;
  switch (kind) {
    case 'claim':
      return { kind, fence: holder, leaseMs: LEASE, ...ASKED };
    case 'take-over':
      return { kind, seen: FENCES[seen]!, fence: holder, leaseMs: LEASE, rerun: flag };
    case 'renew':
      return { kind, fence: holder, leaseMs: LEASE };
    case 'record-step':
      return { kind, fence: holder, name: `step ${step}` };
    case 'complete':
      return { kind, fence: holder, answer: completed(TTL, TTL + TOMBSTONE) };
    case 'release':
      return { kind, fence: holder, settled: flag };
    case 'abandon':
      return { kind, fence: holder };
  }
}

function completed(expires: number, takeover: number): CompletedRecord {
  return {
    state: 'completed',
    fingerprintVersion: 1,
    fingerprint: FINGERPRINT,
    outcome: 'result',
    codecVersion: CODEC_VERSION,
    encryptionKeyId: null,
    body: BODY,
    completedMs: NOW,
    expiresMs: NOW + expires,
    takeoverMs: NOW + takeover,
  };
}

function recordOf({ state, fence, attempt, lease, expires, takeover }: ModelRow): StoredRecord {
  if (state === 'completed') return completed(expires, takeover);
  const held = { fence: FENCES[fence]!, attempt, fingerprintVersion: 1, fingerprint: FINGERPRINT };
  return state === 'unknown'
    ? Object.assign(held, { state })
    : Object.assign(held, { state, leaseUntilMs: NOW + lease });
}

function realRow(row: ModelRow): Row {
  const steps = row.steps.flatMap((fence, step) =>
    fence === 0 ? [] : [{ name: `step ${step}`, fence: FENCES[fence]! }],
  );
  return { record: recordOf(row), steps };
}

function modelRow(
  before: ModelRow | undefined,
  after: Row | undefined,
  message: Message | 'sweep',
): ModelRow | undefined {
  if (after === undefined) return undefined;
  const { record } = after;
  const steps = [0, 1].map((step) => {
    const there = after.steps.find(({ name }) => name === `step ${step}`);
    return there === undefined ? 0 : Number(there.fence);
  });
  const fence = message === 'sweep' ? 0 : message.fence;
  const own = before?.state === 'pending' && before.fence === fence;
  const newLife = message !== 'sweep' && message.kind === 'claim' && !own;
  const runs = newLife ? 0 : (before?.runs ?? 0);
  if (record.state === 'completed') {
    const { expiresMs, takeoverMs } = record;
    const times = { expires: expiresMs - NOW, takeover: takeoverMs - NOW };
    return { state: 'completed', fence, attempt: 1, lease: 0, steps, runs: 0, ...times };
  }
  const lease = record.state === 'pending' ? record.leaseUntilMs - NOW : 0;
  const { state, attempt } = record;
  return { state, attempt, lease, steps, runs, fence: Number(record.fence), expires: 0, takeover: 0 };
}
