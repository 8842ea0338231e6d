/** Claims leases, takes abandoned ones over, and lists those. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { QueryResult, QueryResultRow } from 'pg';
import { publish } from '../../telemetry/channels.ts';
import type {
  AbandonedQuery,
  AbandonedRow,
  HeldLease,
  LeaseClaim,
  LeaseTerms,
  Takeover,
} from '../lease-port.ts';
import { StoreUnavailableError } from '../port.ts';
import type { Attempt, DurableStore } from '../port.ts';
import { holdLease, newFence } from './lease.ts';
import type { LeaseContext, StoredLease } from './lease.ts';
import { callAlone, commitAlone } from './own-transaction.ts';
import type { Committed } from './own-transaction.ts';
import { sightingOf, stepOf } from './rows.ts';
import type { ClaimLeaseRow, StepRow } from './rows.ts';
import type { StepAttempt } from './step-transaction.ts';

const FIRST_WAIT_MS = 50;

export interface LeaseStoreOptions extends Omit<LeaseContext, 'held' | 'begin'> {
  readonly begin: () => Promise<Attempt & StepAttempt>;
  readonly onClock: (clockMs: number, askedMs: number) => void;
}

export interface LeaseStore extends Pick<DurableStore, 'claimLease' | 'takeOver' | 'abandoned'> {
  /** Gives up the leases that this process still holds, so that nobody has to wait for their end. */
  giveUp(): Promise<void>;
}

export function leaseStore(options: LeaseStoreOptions): LeaseStore {
  const { leases, claimTimeout, probeTimeout } = options;
  const held = new Set<StoredLease>();
  const context: LeaseContext = { ...options, held };
  let closing = false;

  /** Granted while the others were given up: nobody would tell this one's holder, who would work on alone. */
  async function assertOpen(end: () => Promise<unknown>): Promise<void> {
    if (!closing) return;
    await end();
    throw new StoreUnavailableError('the store is closed');
  }

  async function claimLease(terms: LeaseTerms): Promise<LeaseClaim> {
    const { identity } = terms;
    const fence = newFence();
    const committed = await callAlone(context, 'attempts', leases.claim(fence, terms), claimTimeout);
    if (committed.kind === 'unanswered') {
      void takeBack(
        [leases.release({ identity, fence }, false).text],
        ({ rows }) => rows[0]!['released'] !== null,
      );
    }
    const { results, origin, askedMs } = answered(committed);
    const row = results[0]!.rows[0] as unknown as ClaimLeaseRow;
    options.onClock(row.clock_ms, askedMs);
    const lease = row.granted
      ? holdLease(context, { ...terms, fence, attempt: 1, steps: [], askedMs })
      : undefined;
    if (lease !== undefined) await assertOpen(() => lease.release(false));
    return { ...sightingOf(row, origin), lease };
  }

  async function takeOver(takeover: Takeover): Promise<HeldLease | undefined> {
    const { identity, leaseMs } = takeover;
    const fence = newFence();
    const statements = [leases.settings, leases.takeOver(fence, takeover), leases.steps(identity)];
    const committed = await commitAlone(context, 'either', statements, claimTimeout);
    if (committed.kind === 'unanswered') {
      void takeBack([leases.settings, leases.abandon({ identity, fence })], ({ rowCount }) => rowCount === 1);
    }
    const { results, askedMs } = answered(committed);
    const row = results[1]!.rows[0];
    if (row === undefined) return undefined;
    const lease = holdLease(context, {
      identity,
      fence,
      leaseMs,
      askedMs,
      coordinate: String(row['coordinate']),
      attempt: Number(row['attempt']),
      fingerprintVersion: Number(row['fingerprint_version']),
      fingerprint: Buffer.from(String(row['fingerprint']), 'hex'),
      steps: (results[2]!.rows as unknown as StepRow[]).map(stepOf),
    });
    await assertOpen(() => lease.abandon());
    return lease;
  }

  /**
   * Ends a claim that got no answer, because nobody is going to run it. That there is nothing to end does not
   * end this: the claim, or its COMMIT, may still be under way, and would be held by nobody until it lapses.
   */
  async function takeBack(
    statements: readonly string[],
    ended: (result: QueryResult<QueryResultRow>) => boolean,
  ): Promise<void> {
    const deadline = performance.now() + probeTimeout;
    for (let waitMs = FIRST_WAIT_MS; ; waitMs *= 2) {
      const committed = await commitAlone(context, 'either', statements, claimTimeout);
      if (committed.kind === 'committed' && ended(committed.results.at(-1)!)) return;
      const remainingMs = deadline - performance.now();
      if (remainingMs <= 0) return;
      await sleep(Math.min(waitMs, remainingMs), undefined, { ref: false });
    }
  }

  return {
    claimLease,
    takeOver,

    async abandoned(query: AbandonedQuery) {
      const committed = await commitAlone(context, 'reserved', [leases.abandoned(query)], claimTimeout);
      return answered(committed).results[0]!.rows.map(abandonedRowOf);
    },

    async giveUp() {
      closing = true;
      await Promise.all([...held].map((lease) => lease.giveUp()));
    },
  };
}

function answered(committed: Committed): Extract<Committed, { kind: 'committed' }> {
  if (committed.kind === 'committed') return committed;
  publish({ type: 'postgres', event: 'unavailable', error: committed.error });
  if (committed.error instanceof StoreUnavailableError) throw committed.error;
  throw new StoreUnavailableError('the claim failed', { cause: committed.error });
}

function abandonedRowOf(row: Readonly<Record<string, unknown>>): AbandonedRow {
  const steps = (row['steps'] ?? []) as readonly StepRow[];
  return {
    identity: Buffer.from(String(row['identity']), 'hex'),
    fence: row['fence'] as AbandonedRow['fence'],
    coordinate: String(row['coordinate']),
    attempt: Number(row['attempt']),
    abandonedMs: Number(row['abandoned_ms']),
    steps: steps.map(stepOf),
  };
}
