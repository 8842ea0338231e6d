/** Finds out what became of abandoned attempts: by the fields' callbacks, or by an operator. */

import type { Logger } from '../../config/logger.ts';
import type { AbandonedRecord, AbandonedStep, RecoverAttempt, Recovery } from '../../config/recovery.ts';
import type { AbandonedRow, HeldLease, LeaseWrite, RecordedStep } from '../../store/lease-port.ts';
import { StoreUnavailableError } from '../../store/port.ts';
import type { DurableStore } from '../../store/port.ts';
import type { AttemptSettings } from '../attempt-settings.ts';
import { deriveKey } from '../current.ts';
import { keepLease, tellLease } from './keep-lease.ts';
import type { LeaseSettings } from './keep-lease.ts';
import { errorToStore, resultToStore } from './outcomes.ts';
import { readStep } from './read-step.ts';

export interface RecovererOptions {
  readonly durable: Pick<DurableStore, 'takeOver' | 'abandoned'>;
  readonly callbacks: Readonly<Record<string, RecoverAttempt>>;
  readonly leases: LeaseSettings;
  readonly attempts: AttemptSettings;
  readonly batchSize: number;
  readonly logger: Logger;
}

/** What a round of the background recovery found out. */
export interface RecoveryRound {
  readonly offered: number;
  readonly completed: number;
  readonly notExecuted: number;
  readonly unknown: number;
}

/** `busy`: somebody is at work on it, or it is settled already. */
type Offered = Recovery['outcome'] | 'busy';

export interface Recoverer {
  /** Whether a field has a callback. */
  knows(coordinate: string): boolean;
  /** Offers an abandoned attempt to its field's callback. @throws StoreUnavailableError */
  offer(identity: Buffer): Promise<Offered>;
  /** Offers every abandoned attempt of the fields that have a callback. @throws StoreUnavailableError */
  round(): Promise<RecoveryRound>;
  /** Lists abandoned attempts. @throws StoreUnavailableError */
  list(limit: number): Promise<readonly AbandonedRecord[]>;
  /** Settles an abandoned attempt as somebody has found out. @throws StoreUnavailableError */
  resolve(identity: Buffer, recovery: Recovery): Promise<'resolved' | 'not-abandoned'>;
}

export function createRecoverer(options: RecovererOptions): Recoverer {
  const { durable, callbacks, leases, logger } = options;
  const coordinates = Object.keys(callbacks);
  const counts = { completed: 'completed', 'not-executed': 'notExecuted', unknown: 'unknown' } as const;

  async function offerRow(row: AbandonedRow): Promise<Offered> {
    const callback = callbacks[row.coordinate];
    const lease = callback && (await takeOver(row));
    if (callback === undefined || lease === undefined) return 'busy';
    tellLease(lease, 'recovering');
    const keeper = keepLease(lease, leases);
    try {
      const record = { ...abandonedRecord({ ...row, steps: lease.steps }), signal: keeper.signal };
      const asked = (async () => checked(await callback(record)))().catch((error: unknown): Recovery => {
        logger.error(`${row.coordinate}: \`recover\` failed, so the outcome stays unknown.`, {
          identity: record.identity,
          cause: error,
        });
        return { outcome: 'unknown' };
      });
      const recovery = await Promise.race([asked, keeper.over]);
      if (recovery instanceof Error) {
        tellLease(lease, 'lost', recovery);
        return 'busy';
      }
      keeper.stop();
      return (await settleAs(lease, recovery)) === 'done' ? recovery.outcome : 'busy';
    } finally {
      keeper.stop();
    }
  }

  function takeOver({ identity, fence }: AbandonedRow): Promise<HeldLease | undefined> {
    return durable.takeOver({ identity, seen: fence, leaseMs: leases.leaseMs, rerun: false });
  }

  /** Settles it by the fence that was taken for it. */
  async function settleAs(lease: HeldLease, recovery: Recovery): Promise<LeaseWrite> {
    switch (recovery.outcome) {
      case 'completed': {
        const outcome =
          'error' in recovery
            ? errorToStore(recovery.error, options.attempts, lease.coordinate)
            : resultToStore(recovery.result, options.attempts, lease.coordinate);
        const completion = await lease.complete(outcome);
        if (completion.kind !== 'completed') return completion.kind;
        tellLease(lease, 'completed');
        return 'done';
      }
      case 'not-executed': {
        const released = await lease.release(true);
        if (released === 'kept') return 'lost';
        if (released === 'done') tellLease(lease, 'released');
        return released;
      }
      case 'unknown': {
        const abandoned = await lease.abandon();
        if (abandoned === 'done') tellLease(lease, 'abandoned');
        return abandoned;
      }
    }
  }

  async function find(identity: Buffer): Promise<AbandonedRow | undefined> {
    return (await durable.abandoned({ identity, limit: 1 }))[0];
  }

  return {
    knows: (coordinate) => Object.hasOwn(callbacks, coordinate),

    async offer(identity) {
      const row = await find(identity);
      return row === undefined ? 'busy' : offerRow(row);
    },

    async round() {
      const total = { offered: 0, completed: 0, notExecuted: 0, unknown: 0 };
      if (coordinates.length === 0) return total;
      let after: Buffer | undefined;
      for (;;) {
        const rows = await durable.abandoned({
          coordinates,
          limit: options.batchSize,
          ...(after === undefined ? {} : { after }),
        });
        // Side by side: a callback that hangs must not keep what comes after it from being offered.
        for (const outcome of await Promise.all(rows.map(offerRow))) {
          if (outcome === 'busy') continue;
          total.offered += 1;
          total[counts[outcome]] += 1;
        }
        if (rows.length < options.batchSize) return total;
        after = rows.at(-1)!.identity;
      }
    },

    async list(limit) {
      return (await durable.abandoned({ limit })).map(abandonedRecord);
    },

    async resolve(identity, recovery) {
      const wanted = checked(recovery);
      const row = await find(identity);
      const lease = row && (await takeOver(row));
      if (lease === undefined) return 'not-abandoned';
      const settled = await settleAs(lease, wanted);
      if (settled === 'unanswered') {
        // Its fence is taken, and the write may yet arrive: "not abandoned" would say that nothing was changed.
        throw new StoreUnavailableError(
          'It is not known whether the attempt was settled. Resolve it again when its lease is over.',
        );
      }
      return settled === 'done' ? 'resolved' : 'not-abandoned';
    },
  };
}

/** @throws TypeError for anything that is no recovery: what somebody misspelled must not free a key. */
function checked(recovery: Recovery): Recovery {
  const { outcome } = (recovery ?? {}) as { outcome?: unknown };
  const says = (name: string): boolean => Object.hasOwn(recovery, name);
  if (outcome === 'not-executed' || outcome === 'unknown') return recovery;
  if (outcome === 'completed' && says('result') !== says('error')) return recovery;
  throw new TypeError(
    "A recovery is { outcome: 'completed', result }, { outcome: 'completed', error }, { outcome: 'not-executed' } or { outcome: 'unknown' }.",
  );
}

function abandonedRecord({
  identity,
  coordinate,
  attempt,
  abandonedMs,
  steps,
}: AbandonedRow): AbandonedRecord {
  return {
    identity: identity.toString('hex'),
    coordinate,
    attempt,
    abandonedAt: new Date(abandonedMs),
    steps: steps.map(abandonedStep),
    deriveKey: (name) => deriveKey(identity, name),
  };
}

function abandonedStep(step: RecordedStep): AbandonedStep {
  const { name, attempt } = step;
  const read = readStep(step);
  switch (read.kind) {
    case 'result':
      return { name, attempt, outcome: 'result', value: read.value };
    case 'error':
      return { name, attempt, outcome: 'error', value: read.error };
    case 'unreadable':
      return { name, attempt, outcome: 'omitted', value: undefined };
  }
}
