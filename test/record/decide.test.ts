/** Every state that a call can meet, with the one answer that each has. */

import { describe, expect, test } from 'vitest';
import { CODEC_VERSION } from '../../src/record/codec.ts';
import { decide } from '../../src/record/decide.ts';
import type { Decision, Encounter } from '../../src/record/decide.ts';
import type { CompletedRecord, Fence, StoredRecord } from '../../src/record/record.ts';

const ASKED = { fingerprintVersion: 1, fingerprint: Buffer.alloc(32, 1) };
const EXPIRES = 10_000;
const TAKEOVER = 20_000;
const LEASE_UNTIL = 10_000;
const BODY = Buffer.from('"body"');

/** What was asked when the record was made, as against what is asked now. */
const fingerprints = {
  same: ASKED,
  other: { fingerprintVersion: 1, fingerprint: Buffer.alloc(32, 2) },
  'newer version': { fingerprintVersion: 2, fingerprint: ASKED.fingerprint },
  'older version': { fingerprintVersion: 0, fingerprint: Buffer.alloc(32, 2) },
} as const;

const bodies = {
  result: { outcome: 'result', body: BODY },
  error: { outcome: 'error', body: BODY },
  omitted: { outcome: 'omitted', body: null },
  'without its body': { outcome: 'result', body: null },
  encrypted: { outcome: 'result', body: BODY, encryptionKeyId: 'k1' },
  'of a newer codec': { outcome: 'result', body: BODY, codecVersion: CODEC_VERSION + 1 },
} as const satisfies Record<string, Partial<CompletedRecord>>;

const clocks = {
  'long before': 0,
  'the millisecond before': EXPIRES - 1,
  'at its end': EXPIRES,
  'before the takeover': TAKEOVER - 1,
  'at the takeover': TAKEOVER,
  'long after': Number.MAX_SAFE_INTEGER,
} as const;

const FENCE = '77' as Fence;

type Clock = keyof typeof clocks;
type Asked = keyof typeof fingerprints;
type Body = keyof typeof bodies;

interface Case {
  readonly state: 'none' | StoredRecord['state'];
  readonly body: Body;
  readonly asked: Asked;
  readonly clock: Clock;
  readonly granted: boolean;
}

function recordOf({ state, body, asked }: Case): StoredRecord | undefined {
  const base = fingerprints[asked];
  switch (state) {
    case 'none':
      return undefined;
    case 'pending':
      return { state, ...base, fence: FENCE, attempt: 2, leaseUntilMs: LEASE_UNTIL };
    case 'unknown':
      return { state, ...base, fence: FENCE, attempt: 2 };
    case 'completed':
      return {
        state,
        ...base,
        codecVersion: CODEC_VERSION,
        encryptionKeyId: null,
        completedMs: 0,
        expiresMs: EXPIRES,
        takeoverMs: TAKEOVER,
        ...bodies[body],
      };
  }
}

/** The table. The first row of a state that fits decides; what a row leaves out may be anything. */
const table: readonly (Partial<Record<keyof Case, readonly unknown[]>> & {
  readonly decision: Decision['kind'];
})[] = [
  { state: ['none'], granted: [true], decision: 'execute' },
  { state: ['none'], granted: [false], decision: 'busy' },

  { state: ['completed'], clock: ['at the takeover', 'long after'], granted: [true], decision: 'execute' },
  { state: ['completed'], clock: ['at the takeover', 'long after'], granted: [false], decision: 'busy' },
  { state: ['completed'], clock: ['at its end', 'before the takeover'], decision: 'expired' },
  { state: ['completed'], asked: ['newer version', 'older version'], decision: 'unsupported' },
  { state: ['completed'], asked: ['other'], decision: 'mismatch' },
  { state: ['completed'], body: ['omitted'], decision: 'omitted' },
  { state: ['completed'], body: ['encrypted', 'of a newer codec'], decision: 'unsupported' },
  { state: ['completed'], body: ['without its body'], decision: 'expired' },
  { state: ['completed'], body: ['result', 'error'], decision: 'replay' },

  { state: ['pending'], asked: ['newer version', 'older version'], decision: 'unsupported' },
  { state: ['pending'], asked: ['other'], decision: 'mismatch' },
  { state: ['pending'], clock: ['long before', 'the millisecond before'], decision: 'busy' },
  { state: ['pending'], decision: 'abandoned' },

  { state: ['unknown'], asked: ['newer version', 'older version'], decision: 'unsupported' },
  { state: ['unknown'], asked: ['other'], decision: 'mismatch' },
  { state: ['unknown'], decision: 'abandoned' },
];

const cases: Case[] = (['none', 'completed', 'pending', 'unknown'] as const).flatMap((state) =>
  (Object.keys(bodies) as Body[]).flatMap((body) =>
    (Object.keys(fingerprints) as Asked[]).flatMap((asked) =>
      (Object.keys(clocks) as Clock[]).flatMap((clock) =>
        [true, false].map((granted) => ({ state, body, asked, clock, granted })),
      ),
    ),
  ),
);

function rowFor(met: Case): (typeof table)[number] {
  const row = table.find((one) =>
    Object.entries(one).every(
      ([name, allowed]) => name === 'decision' || allowed.includes(met[name as keyof Case] as never),
    ),
  );
  if (row === undefined) throw new Error(`no row for ${JSON.stringify(met)}`);
  return row;
}

function encounterOf(met: Case): Encounter {
  return { ...ASKED, record: recordOf(met), granted: met.granted, clockMs: clocks[met.clock] };
}

const describeCase = (met: Case): string => JSON.stringify(met);

describe('the decision', () => {
  test(`is the table's, for each of ${cases.length} cases`, () => {
    const decided = cases.map((met) => `${describeCase(met)} ${decide(encounterOf(met)).kind}`);
    expect(decided).toEqual(cases.map((met) => `${describeCase(met)} ${rowFor(met).decision}`));
  });

  test('every row of the table decides at least one case', () => {
    expect(new Set(cases.map(rowFor)).size).toBe(table.length);
  });

  test('to execute needs the lock, and no record or one that may be taken over', () => {
    for (const met of cases.filter((one) => decide(encounterOf(one)).kind === 'execute')) {
      expect(met.granted).toBe(true);
      expect(met.state === 'none' || (met.state === 'completed' && clocks[met.clock] >= TAKEOVER)).toBe(true);
    }
  });

  test('to replay needs the same question, an unexpired record and a body; the lock makes no difference', () => {
    for (const met of cases) {
      const decision = decide(encounterOf(met));
      if (decision.kind !== 'replay') continue;
      expect(met).toMatchObject({ state: 'completed', asked: 'same' });
      expect(clocks[met.clock]).toBeLessThan(EXPIRES);
      expect(decision).toStrictEqual({ kind: 'replay', ...bodies[met.body] });
      expect(decide(encounterOf({ ...met, granted: !met.granted }))).toStrictEqual(decision);
    }
  });

  test('a key used for something else gets nothing of the record', () => {
    const decision = decide({
      ...ASKED,
      record: recordOf({
        state: 'completed',
        body: 'result',
        asked: 'other',
        clock: 'long before',
        granted: true,
      }),
      granted: true,
      clockMs: 0,
    });
    expect(decision).toStrictEqual({ kind: 'mismatch' });
  });

  test('a fingerprint that differs in any one bit is another one', () => {
    for (let bit = 0; bit < 256; bit += 1) {
      const fingerprint = Buffer.from(ASKED.fingerprint);
      fingerprint[bit >> 3]! ^= 1 << (bit & 7);
      const record = { ...recordOf({ state: 'unknown' } as Case)!, fingerprintVersion: 1, fingerprint };
      expect(decide({ ...ASKED, record, granted: true, clockMs: 0 }).kind).toBe('mismatch');
    }
  });
});
