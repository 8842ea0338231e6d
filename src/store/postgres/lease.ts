/** A lease on the database's clock: every write carries its fence, and may be sent more than once. */

import { randomUUID } from 'node:crypto';
import type { CompletedRecord, Fence } from '../../record/record.ts';
import type { HeldLease, LeaseCompletion, LeaseWrite, Outcome, RecordedStep } from '../lease-port.ts';
import type { Attempt } from '../port.ts';
import type { FunctionCall, LeaseStatements } from './lease-statements.ts';
import { callAlone, commitAlone, untilAnswered } from './own-transaction.ts';
import type { Committed, OwnTransactionContext } from './own-transaction.ts';
import type { CompleteLeaseRow } from './rows.ts';
import { isCausedByPostgres } from './sqlstate.ts';
import { stepTransaction } from './step-transaction.ts';
import type { StepAttempt } from './step-transaction.ts';

export interface LeaseContext extends OwnTransactionContext {
  readonly leases: LeaseStatements;
  readonly commitTimeout: number;
  readonly probeTimeout: number;
  /** Opens a transaction for a step. @throws StoreUnavailableError */
  readonly begin: () => Promise<Attempt & StepAttempt>;
  /** The leases of this process that have not ended; the store gives them up when it closes. */
  readonly held: Set<StoredLease>;
}

export interface StoredLease extends HeldLease {
  /** Tells the holder, and leaves the outcome unknown. */
  giveUp(): Promise<LeaseWrite>;
}

/** What the row says of a lease that was just claimed or taken over. */
export interface Grant {
  readonly identity: Buffer;
  readonly fence: Fence;
  readonly coordinate: string;
  readonly attempt: number;
  readonly fingerprintVersion: number;
  readonly fingerprint: Buffer;
  readonly steps: readonly RecordedStep[];
  readonly leaseMs: number;
  /** By `performance.now()`, when it was asked for: the database counts the lease from a later moment. */
  readonly askedMs: number;
}

/**
 * Makes a fence. Made here and not by the database, so that a claim whose answer is lost can be sent again, or
 * given up; random, so that no failover ever hands one out twice. From a UUID, because Node keeps random bytes
 * in store for those.
 */
export function newFence(): Fence {
  const uuid = randomUUID();
  return BigInt(`0x${uuid.slice(0, 8)}${uuid.slice(9, 13)}${uuid.slice(24, 27)}`).toString() as Fence;
}

export function holdLease(context: LeaseContext, grant: Grant): StoredLease {
  const { leases, commitTimeout, probeTimeout, held } = context;
  const { identity, steps } = grant;
  let aliveUntilMs = grant.askedMs + grant.leaseMs;
  let hasSteps = steps.length > 0;
  let tellHolder!: (reason: Error) => void;
  const givenUp = new Promise<Error>((resolve) => {
    tellHolder = resolve;
  });

  function callUntilAnswered(call: FunctionCall): Promise<Committed> {
    return untilAnswered(probeTimeout, () => callAlone(context, 'either', call, commitTimeout));
  }

  const lease: StoredLease = {
    identity,
    coordinate: grant.coordinate,
    attempt: grant.attempt,
    steps,
    givenUp,

    get aliveUntilMs() {
      return aliveUntilMs;
    },

    async renew(timeoutMs) {
      if (!held.has(lease)) return 'lost';
      // On a connection that no resolver can hold: a renewal that waits for one is a lease that lapses.
      const committed = await commitAlone(
        context,
        'reserved',
        [leases.settings, leases.renew(grant, grant.leaseMs)],
        timeoutMs,
      );
      if (committed.kind !== 'committed') return 'unanswered';
      if (committed.results[1]!.rowCount !== 1) return lost();
      aliveUntilMs = committed.askedMs + grant.leaseMs;
      return 'done';
    },

    async recordStep(step) {
      if (!held.has(lease)) return 'lost';
      // From here on, whatever becomes of the answer.
      hasSteps = true;
      const committed = await callUntilAnswered(leases.recordStep(grant, step, ''));
      if (committed.kind === 'committed') return 'done';
      return committed.kind === 'refused' ? lost() : 'unanswered';
    },

    async beginStep() {
      const attempt = await context.begin();
      hasSteps = true;
      const transaction = stepTransaction({ ...context, attempt, holder: grant });
      return {
        ...transaction,
        async commit(step) {
          const completion = await transaction.commit(step);
          if (completion.kind === 'lost') lost();
          return completion;
        },
      };
    },

    async complete(outcome) {
      if (!held.has(lease)) return { kind: 'lost' };
      const committed = await callUntilAnswered(leases.complete(grant, outcome, hasSteps));
      const completion = completionOf(grant, outcome, committed);
      if (completion.kind !== 'unanswered') held.delete(lease);
      return completion;
    },

    async release(settled) {
      const committed = await callUntilAnswered(leases.release(grant, settled));
      // Not "lost" to itself: whether it was released or kept is what the answer would have said.
      const unanswered = !settled && (grant.attempt > 1 || hasSteps) ? 'kept' : 'unanswered';
      if (committed.kind === 'refused') return 'lost';
      if (committed.kind !== 'committed') return unanswered;
      held.delete(lease);
      const released: unknown = committed.results[0]!.rows[0]!['released'];
      if (released === null) return committed.repeated ? unanswered : 'lost';
      return released === true ? 'done' : 'kept';
    },

    async abandon() {
      held.delete(lease);
      const statements = [leases.settings, leases.abandon(grant)];
      const committed = await untilAnswered(probeTimeout, () =>
        commitAlone(context, 'either', statements, commitTimeout),
      );
      if (committed.kind === 'refused') return 'lost';
      if (committed.kind !== 'committed') return 'unanswered';
      if (committed.results[1]!.rowCount === 1) return 'done';
      // Its own earlier try, of which it has heard nothing, leaves no row to find either.
      return committed.repeated ? 'unanswered' : 'lost';
    },

    giveUp() {
      // First: once the outcome is unknown another may take over, and no effect may begin beside it.
      tellHolder(new Error('the lease was given up: the store closes'));
      return lease.abandon();
    },

    isCausedByStore: isCausedByPostgres,
  };
  held.add(lease);
  return lease;

  /** There is nothing left to give up when the store closes. */
  function lost(): 'lost' {
    held.delete(lease);
    return 'lost';
  }

  function completionOf(
    { fingerprint, fingerprintVersion }: Grant,
    { outcome, codecVersion, body }: Outcome,
    committed: Committed,
  ): LeaseCompletion {
    if (committed.kind === 'refused') return { kind: 'lost' };
    if (committed.kind !== 'committed') return { kind: 'unanswered', cause: committed.error };
    const row = committed.results[0]!.rows[0] as unknown as CompleteLeaseRow;
    if (row.completed_ms === null) return { kind: 'lost' };
    const record: CompletedRecord = {
      state: 'completed',
      outcome,
      codecVersion,
      body: body ?? null,
      encryptionKeyId: null,
      fingerprint,
      fingerprintVersion,
      completedMs: row.completed_ms,
      expiresMs: row.expires_ms,
      takeoverMs: row.takeover_ms,
    };
    return { kind: 'completed', record, origin: committed.origin };
  }
}
