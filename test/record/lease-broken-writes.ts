/** The state machine with one of its guards taken out: what the exploration must notice. */

import { write } from '../../src/record/lease.ts';
import type { HolderWrite, Row, Write, Written } from '../../src/record/lease.ts';
import type { Rules } from './lease-actors.ts';
import type { WriteFunction } from './lease-store-model.ts';

export interface BrokenWrite {
  readonly name: string;
  readonly broken: WriteFunction;
  /** The promise that it breaks. */
  readonly says: string;
  /** @defaultValue 'RERUN' */
  readonly abandoned?: Rules['abandoned'];
}

type Intent<K extends Write['kind']> = Extract<Write, { kind: K }>;

/** The write, but with this instead of what it does for one kind of write. */
function but<K extends Write['kind']>(
  kind: K,
  instead: (row: Row | undefined, intent: Intent<K>, clockMs: number) => Written,
): WriteFunction {
  return (row, intent, clockMs) =>
    intent.kind === kind ? instead(row, intent as Intent<K>, clockMs) : write(row, intent, clockMs);
}

function ignoringTheFence(kind: HolderWrite['kind']): BrokenWrite {
  return {
    name: `${kind} by anybody`,
    broken: but(kind, (row, intent, clockMs) =>
      row === undefined || row.record.state === 'completed'
        ? 'refused'
        : write(row, { ...intent, fence: row.record.fence }, clockMs),
    ),
    says: 'a stale fence wrote',
  };
}

/** What the row would be had the clock run out. */
function lapsed(row: Row | undefined): Row | undefined {
  return row?.record.state === 'pending' ? { ...row, record: { ...row.record, leaseUntilMs: 0 } } : row;
}

/** What a write made, but with another row. */
function changed(written: Written, change: (row: Row) => Row | undefined): Written {
  return written === 'refused' || written.row === undefined ? written : { row: change(written.row) };
}

export const brokenWrites: readonly BrokenWrite[] = [
  ...(['renew', 'record-step', 'complete', 'release', 'abandon'] as const).map(ignoringTheFence),
  {
    name: 'a takeover that does not compare the fence',
    broken: but('take-over', (row, intent, clockMs) =>
      row === undefined || row.record.state === 'completed'
        ? 'refused'
        : write(row, { ...intent, seen: row.record.fence }, clockMs),
    ),
    says: 'a stale fence wrote',
  },
  {
    name: 'a takeover that does not look at the lease',
    broken: but('take-over', (row, intent, clockMs) => write(lapsed(row), intent, clockMs)),
    says: 'a lease was taken from its holder',
  },
  {
    name: 'a takeover that loses the journal',
    broken: but('take-over', (row, intent, clockMs) =>
      changed(write(row, intent, clockMs), (after) => ({ ...after, steps: [] })),
    ),
    says: 'a recorded step was lost',
  },
  {
    name: 'a takeover that does not count the attempt',
    broken: but('take-over', (row, intent, clockMs) => write(row, { ...intent, rerun: false }, clockMs)),
    says: 'attempts were miscounted',
  },
  {
    name: 'a takeover of what is completed',
    broken: but('take-over', (row, intent, clockMs) => {
      if (row?.record.state !== 'completed') return write(row, intent, clockMs);
      const { fingerprint, fingerprintVersion } = row.record;
      const { seen } = intent;
      const base = { state: 'unknown', attempt: 1, fence: seen, fingerprint, fingerprintVersion } as const;
      return write({ ...row, record: base }, intent, clockMs);
    }),
    says: 'a completed record changed',
  },
  {
    name: 'a second completion',
    broken: but('complete', (row, intent, clockMs) =>
      row?.record.state === 'completed'
        ? { row: { ...row, record: intent.answer } }
        : write(row, intent, clockMs),
    ),
    says: 'a completed record changed',
  },
  {
    name: 'a release that does not look at the journal and the attempts',
    broken: but('release', (row, intent, clockMs) => write(row, { ...intent, settled: true }, clockMs)),
    says: 'what earlier attempts or steps have done was forgotten',
  },
  {
    name: 'a release that does not look at the attempts',
    broken: but('release', (row, intent, clockMs) =>
      write(row, { ...intent, settled: intent.settled || row?.steps.length === 0 }, clockMs),
    ),
    says: 'what earlier attempts or steps have done was forgotten',
  },
  {
    name: 'a release that does not look at the journal',
    abandoned: 'REFUSE',
    broken: but('release', (row, intent, clockMs) => {
      const first = row?.record.state === 'pending' && row.record.attempt === 1;
      return write(row, { ...intent, settled: intent.settled || first }, clockMs);
    }),
    says: 'what earlier attempts or steps have done was forgotten',
  },
  {
    name: 'a claim over a lease',
    broken: but('claim', (row, intent, clockMs) =>
      write(row?.record.state === 'pending' ? undefined : row, intent, clockMs),
    ),
    says: 'a claim and the decision about it disagree',
  },
  {
    name: 'a claim over what is abandoned',
    abandoned: 'REFUSE',
    broken: but('claim', (row, intent, clockMs) =>
      write(row?.record.state === 'unknown' ? undefined : row, intent, clockMs),
    ),
    says: 'a claim and the decision about it disagree',
  },
  {
    name: 'a claim over what has expired and is not over',
    broken: but('claim', (row, intent, clockMs) =>
      write(
        row?.record.state === 'completed' && clockMs >= row.record.expiresMs ? undefined : row,
        intent,
        clockMs,
      ),
    ),
    says: 'a claim and the decision about it disagree',
  },
  {
    name: 'a claim that gives less than it was asked for',
    broken: but('claim', (row, intent, clockMs) => write(row, { ...intent, leaseMs: 0 }, clockMs)),
    says: 'a lease ended before its holder could know',
  },
  {
    name: 'a renewal that gives less than it was asked for',
    broken: but('renew', (row, intent, clockMs) => write(row, { ...intent, leaseMs: 0 }, clockMs)),
    says: 'a lease ended before its holder could know',
  },
  {
    name: 'a sweeper that takes what is unknown',
    broken: but('sweep', (row, intent, clockMs) =>
      row?.record.state === 'unknown' ? { row: undefined } : write(row, intent, clockMs),
    ),
    says: 'what is not over was swept',
  },
  {
    name: 'a sweeper that takes what is not over',
    broken: but('sweep', (row, intent, clockMs) =>
      row?.record.state === 'completed' ? { row: undefined } : write(row, intent, clockMs),
    ),
    says: 'a completed record changed',
  },
];
