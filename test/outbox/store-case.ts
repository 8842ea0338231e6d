/** The outbox by itself, on a database of the test's own: rows that a test inserts, and claims that it makes. */

import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { onTestFinished } from 'vitest';
import type { ClaimedEvents, EventClaim, OutboxStore, StoredEvent } from '../../src/store/outbox-port.ts';
import { Ambient } from '../../src/store/postgres/ambient/ambient.ts';
import { claimEvents } from '../../src/store/postgres/events/claim-events.ts';
import { postgresStore } from '../../src/store/postgres/postgres-store.ts';
import type { PostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { connect } from '../store/postgres/connection.ts';

export const SCHEMA = 'graphql_idempotency';

export interface StoreCase {
  readonly store: OutboxStore;
  /** A connection of the test's own. */
  readonly client: Client;
  /** Inserts an event, and returns its position. */
  insert(
    topic: string,
    key?: string,
    more?: { bytes?: number; by?: Client; position?: string },
  ): Promise<string>;
  claim(more?: Partial<EventClaim>): Promise<HeldEvents>;
  /** Begins a claim on the test's connection, which keeps its locks until the test ends its transaction. */
  claimOpen(more?: Partial<EventClaim>): Promise<void>;
  publish(claimed: HeldEvents): Promise<number>;
  bury(claimed: HeldEvents): Promise<number>;
  rows(): Promise<StoreRow[]>;
  /** How many sessions wait for a lock. */
  waiting(): Promise<number>;
}

export type HeldEvents = ClaimedEvents & { readonly token: string };

export interface StoreRow {
  readonly topic: string;
  readonly started: number;
  readonly claim: string | null;
  readonly state: 'dead' | 'parked' | 'later' | 'ready';
}

export const terms = (more: Partial<EventClaim> = {}): EventClaim => ({
  token: randomUUID(),
  topics: undefined,
  limit: 10,
  maxBytes: 1_000_000,
  leaseMs: 60_000,
  crashLimit: 3,
  sinceMs: undefined,
  ...more,
});

export const topicsOf = ({ events }: { readonly events: readonly StoredEvent[] }): string[] =>
  events.map(({ topic }) => topic);

const NOTHING = { published: [], failed: [], released: [] };

/** A store of its own, which its caller closes. */
export function postgresOn(url: string, { outboxNotify = false } = {}): PostgresStore {
  return postgresStore({
    ambient: new Ambient(),
    source: { config: { connectionString: url }, single: false },
    settings: {
      schema: SCHEMA,
      namespace: '',
      poolSize: 3,
      reservedPoolSize: 2,
      poolQueueSize: 10,
      acquireTimeout: 5000,
      claimTimeout: 10_000,
      transactionTimeout: 10_000,
      commitTimeout: 5000,
      probeTimeout: 10_000,
      lockTimeout: 4000,
      preparedStatements: true,
      outboxNotify,
      inboxTtl: 604_800_000,
    },
    connectionCheckMs: 0,
    serverTimeouts: true,
    onClock: () => undefined,
    onInspection: () => undefined,
  });
}

/** A store of its own, closed when the test ends. */
export function openStore(url: string): OutboxStore {
  const postgres = postgresOn(url);
  onTestFinished(() => postgres.close());
  return postgres.outbox;
}

/** For one test, with an empty outbox. */
export async function startStoreCase(url: string): Promise<StoreCase> {
  const store = openStore(url);
  const client = await connect(url);
  await client.query(`truncate ${SCHEMA}.outbox, ${SCHEMA}.outbox_pause`);
  return {
    store,
    client,
    async insert(topic, key, { bytes = 0, by = client, position } = {}) {
      const { rows } = await by.query<{ position: string }>(
        `insert into ${SCHEMA}.outbox (position, event_id, namespace, topic, ordering_key, headers, payload)
         overriding system value
         values (coalesce($4, nextval('${SCHEMA}.outbox_position_seq')), gen_random_uuid(), '', $1, $2, '{}',
           convert_to(repeat('x', $3), 'UTF8'))
         returning position::text as position`,
        [topic, key ?? null, bytes, position ?? null],
      );
      return rows[0]!.position;
    },
    async claim(more = {}) {
      const { token, ...rest } = terms(more);
      return { token, ...(await store.claimEvents({ token, ...rest })) };
    },
    async claimOpen(more) {
      await client.query('begin');
      await client.query(claimEvents(SCHEMA, '', terms(more)));
    },
    publish: ({ token, events }) => store.finishEvents({ token, ...NOTHING, published: events }),
    bury: ({ token, events }) =>
      store.finishEvents({
        token,
        ...NOTHING,
        failed: events.map((event) => ({ event, error: 'no', retryInMs: undefined })),
      }),
    rows: async () =>
      (
        await client.query<StoreRow>(
          `select topic, started, claim::text as claim, case
             when dead_at is not null then 'dead' when available_at = 'infinity' then 'parked'
             when available_at > clock_timestamp() then 'later' else 'ready' end as state
           from ${SCHEMA}.outbox order by position`,
        )
      ).rows,
    waiting: async () =>
      (
        await client.query(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        )
      ).rowCount!,
  };
}
