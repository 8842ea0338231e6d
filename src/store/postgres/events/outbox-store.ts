/** The outbox on Postgres: what relays and operators ask of it, each in a transaction of its own. */

import { publish } from '../../../telemetry/channels.ts';
import type { ClaimedEvents, DeadRow, OutboxStore, StoredEvent } from '../../outbox-port.ts';
import { StoreUnavailableError } from '../../port.ts';
import { commitAlone, untilAnswered } from '../own-transaction.ts';
import type { Committed, OwnTransactionContext } from '../own-transaction.ts';
import { CLAIM_SETTINGS, claimEvents } from './claim-events.ts';
import type { ClaimEventRow } from './claim-events.ts';
import type { EventHints } from './event-hints.ts';
import { relayStatementsFor } from './relay-statements.ts';

export interface OutboxStoreOptions extends OwnTransactionContext {
  readonly schema: string;
  readonly namespace: string;
  readonly probeTimeout: number;
  readonly transactionTimeout: number;
  readonly hints: EventHints;
}

/** Of events that are published again if a crash of Postgres forgets it: no commit waits for the disk behind it. */
const UNSYNCED = `select pg_catalog.set_config('synchronous_commit', 'off', true)`;

export function outboxStore(options: OutboxStoreOptions): OutboxStore {
  const { schema, namespace, claimTimeout, probeTimeout } = options;
  const statements = relayStatementsFor(schema, namespace);

  /** Sends them in one transaction, as often as it takes to be answered: each may arrive twice. */
  async function insist(given: readonly (string | undefined)[]): Promise<Answered> {
    const present = given.filter((statement) => statement !== undefined);
    return answered(
      await untilAnswered(probeTimeout, (remainingMs) =>
        commitAlone(options, 'either', present, Math.min(remainingMs, claimTimeout)),
      ),
    );
  }

  /** Of an operator's: over many rows, perhaps. */
  async function once(given: readonly string[]): Promise<Answered> {
    return answered(await commitAlone(options, 'either', given, options.transactionTimeout));
  }

  return {
    async claimEvents(claim) {
      const statement = claimEvents(schema, namespace, claim);
      const committed = await commitAlone(
        options,
        'either',
        [CLAIM_SETTINGS, statement],
        options.transactionTimeout,
      );
      const { results, askedMs } = answered(committed);
      return claimedEvents(results[1]!.rows as unknown as ClaimEventRow[], askedMs);
    },

    async renewEvents(token, positions, leaseMs) {
      if (positions.length === 0) return new Set();
      const statement = statements.renew(token, positions, leaseMs);
      const { results } = answered(
        await commitAlone(options, 'reserved', [UNSYNCED, statement], claimTimeout),
      );
      return new Set(results[1]!.rows.map((row) => String(row['position'])));
    },

    async finishEvents({ token, published, failed, released }) {
      const writes = [
        published.length === 0 ? undefined : statements.remove(token, published),
        failed.length === 0 ? undefined : statements.fail(token, failed),
        released.length === 0 ? undefined : statements.release(token, released),
      ];
      if (writes.every((write) => write === undefined)) return 0;
      const { results } = await insist([UNSYNCED, ...writes, statements.wakeNext(published)]);
      const count = writes.filter((write) => write !== undefined).length;
      return results.slice(1, 1 + count).reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0);
    },

    async pauseEvents(topic) {
      await insist([statements.pause(topic)]);
    },

    async resumeEvents(topic) {
      await insist([statements.unpause(topic), topic === '' ? undefined : statements.wakeTopic(topic)]);
    },

    async deadEvents({ topic, after, limit }) {
      const { results } = await once([statements.deadLetters(topic, after, limit)]);
      return results[0]!.rows.map((row) => deadRowOf(row as unknown as DeadEventRow));
    },

    async redriveEvents(filter) {
      if ('ids' in filter && filter.ids.length === 0) return 0;
      return (await once([statements.redrive(filter)])).results[0]!.rowCount ?? 0;
    },

    async discardEvents(filter) {
      if ('ids' in filter && filter.ids.length === 0) return 0;
      return (await once([statements.discard(filter), statements.wakeFirst])).results[0]!.rowCount ?? 0;
    },

    watchEvents: (listener, remote) => options.hints.watch(listener, remote),

    async countEvents() {
      const row = (await once([statements.count])).results[0]!.rows[0]!;
      return {
        ready: Number(row['ready']),
        waiting: Number(row['waiting']),
        parked: Number(row['parked']),
        dead: Number(row['dead']),
        lagMs: Number(row['lag_ms']),
      };
    },
  };
}

type Answered = Extract<Committed, { readonly kind: 'committed' }>;

function answered(committed: Committed): Answered {
  if (committed.kind === 'committed') return committed;
  publish({ type: 'postgres', event: 'unavailable', error: committed.error });
  if (committed.error instanceof StoreUnavailableError) throw committed.error;
  throw new StoreUnavailableError('the outbox did not answer', { cause: committed.error });
}

function claimedEvents(rows: readonly ClaimEventRow[], askedMs: number): ClaimedEvents {
  return {
    events: rows.filter(({ kind }) => kind === 'claimed').map((row) => storedEventOf(row as StoredEventRow)),
    buried: rows
      .filter(({ kind }) => kind === 'buried')
      .map(({ event_id: eventId, topic, count }) => ({ eventId: eventId!, topic: topic!, crashes: count! })),
    parked: rows.find(({ kind }) => kind === 'parked')?.count ?? 0,
    doneMs: rows.find(({ kind }) => kind === 'done')?.done_ms ?? undefined,
    askedMs,
  };
}

interface StoredEventRow {
  readonly position: string;
  readonly event_id: string;
  readonly topic: string;
  readonly ordering_key: string | null;
  readonly headers: string;
  readonly payload: string;
  readonly created_ms: number;
  readonly finished: number;
}

interface DeadEventRow extends StoredEventRow {
  readonly died_ms: number;
  readonly crashes: number;
  readonly last_error: string;
}

function storedEventOf(row: StoredEventRow): StoredEvent {
  return {
    position: row.position,
    eventId: row.event_id,
    topic: row.topic,
    orderingKey: row.ordering_key ?? undefined,
    headers: JSON.parse(row.headers) as Record<string, string>,
    payload: Buffer.from(row.payload, 'hex'),
    createdMs: row.created_ms,
    failures: row.finished,
  };
}

function deadRowOf(row: DeadEventRow): DeadRow {
  return {
    ...storedEventOf(row),
    diedMs: row.died_ms,
    crashes: row.crashes,
    lastError: row.last_error,
  };
}
