/** The outbox on Postgres: what relays and operators ask of it, each in a transaction of its own. */

import { setTimeout as sleep } from 'node:timers/promises';
import { publish } from '../../../telemetry/channels.ts';
import type { ClaimedEvents, DeadRow, EventClaim, OutboxStore, StoredEvent } from '../../outbox-port.ts';
import { StoreUnavailableError } from '../../port.ts';
import { commitAlone, untilAnswered } from '../own-transaction.ts';
import type { Committed, OwnTransactionContext } from '../own-transaction.ts';
import { CLAIM_SETTINGS, claimEvents } from './claim-events.ts';
import type { ClaimEventRow } from './claim-events.ts';
import type { EventHints } from './event-hints.ts';
import { relayStatementsFor } from './relay-statements.ts';
import type { Gone } from './relay-statements.ts';

export interface OutboxStoreOptions extends OwnTransactionContext {
  readonly schema: string;
  readonly namespace: string;
  readonly probeTimeout: number;
  readonly transactionTimeout: number;
  readonly hints: EventHints;
}

/** Of events that are published again if a crash of Postgres forgets it: no commit waits for the disk behind it. */
const UNSYNCED = `select pg_catalog.set_config('synchronous_commit', 'off', true)`;

const FIRST_WAIT_MS = 50;
/** As many dead letters are removed in one transaction. */
const DISCARDED_AT_ONCE = 1000;

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

  /**
   * Gives back what a claim took that got no answer: nobody is going to publish it, and were it left until its lease
   * is over, it would count as the death of a relay. The connection was cut before, so that no more of the claim is
   * sent; but Postgres may still be at work on what it has, and finish when this has found nothing. So finding nothing
   * does not end it, before the lease is over that such a claim would give. What comes even later costs that lease.
   */
  async function takeBack({ token, leaseMs }: EventClaim): Promise<void> {
    const deadline = performance.now() + leaseMs;
    const statement = statements.takeBack(token, leaseMs);
    for (let waitMs = FIRST_WAIT_MS; ; waitMs *= 2) {
      const committed = await commitAlone(options, 'either', [UNSYNCED, statement], claimTimeout);
      if (committed.kind === 'committed' && committed.results[1]!.rowCount !== 0) return;
      const remainingMs = deadline - performance.now();
      if (remainingMs <= 0) return;
      await sleep(Math.min(waitMs, remainingMs), undefined, { ref: false });
    }
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
      if (committed.kind === 'unanswered') void takeBack(claim);
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
      let count = 0;
      for (let after = '0'; ;) {
        const { rows } = (await once([statements.placesOfDead(filter, after, DISCARDED_AT_ONCE)]))
          .results[0]!;
        if (rows.length === 0) return count;
        const gone = rows.map((row) => goneOf(row as unknown as PlaceRow));
        const { results } = await insist([statements.discard(gone), statements.wakeNext(gone)]);
        count += results[0]!.rowCount ?? 0;
        after = gone.at(-1)!.position;
      }
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
  const done = rows.find(({ kind }) => kind === 'done');
  return {
    events: rows.filter(({ kind }) => kind === 'claimed').map((row) => storedEventOf(row as StoredEventRow)),
    buried: rows
      .filter(({ kind }) => kind === 'buried')
      .map(({ event_id: eventId, topic, count }) => ({ eventId: eventId!, topic: topic!, crashes: count! })),
    parked: rows.find(({ kind }) => kind === 'parked')?.count ?? 0,
    cutShort: done?.count === 1,
    doneMs: done?.done_ms ?? undefined,
    askedMs,
  };
}

interface PlaceRow {
  readonly position: string;
  readonly ordering_key: string | null;
}

function goneOf({ position, ordering_key: key }: PlaceRow): Gone {
  return { position, orderingKey: key ?? undefined };
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
