/** The tables of a run: what calls have committed, and what came of their events. Nothing in them forbids a repetition. */

import type pg from 'pg';
import type { Seen } from './journal.ts';
import type { PaidEvent } from './judge.ts';
import { ORDERING_KEYS } from './plan-call.ts';

const DEFINITIONS = `
  create table account (ordering_key text primary key, events integer not null default 0) with (fillfactor = 50);
  create table paid (call integer not null, execution uuid not null, event_id uuid not null, ordering_key text, number integer);
  create table ledger (event_id uuid not null, execution uuid not null);
`;

export interface Counts {
  readonly inOutbox: number;
  readonly paid: number;
  readonly ledger: number;
}

/** What the database says when a run is over. */
export interface Books {
  readonly paid: readonly PaidEvent[];
  readonly ledger: readonly Seen[];
  readonly inOutbox: number;
  readonly deadEvents: readonly string[];
  readonly deadMessages: readonly string[];
}

export async function createTables(database: pg.Pool): Promise<void> {
  await database.query(DEFINITIONS);
  await database.query('insert into account (ordering_key) select unnest($1::text[])', [ORDERING_KEYS]);
}

export async function countRows(database: pg.Pool): Promise<Counts> {
  const { rows } = await database.query<Counts>(
    `select (select count(*)::int from graphql_idempotency.outbox) as "inOutbox",
      (select count(*)::int from paid) as paid, (select count(*)::int from ledger) as ledger`,
  );
  return rows[0]!;
}

export async function readBooks(database: pg.Pool): Promise<Books> {
  const read = async <Row extends object>(text: string): Promise<Row[]> =>
    (await database.query<Row>(text)).rows;
  const paid = await read<{
    call: number;
    event_id: string;
    execution: string;
    ordering_key: string | null;
    number: number | null;
  }>('select * from paid');
  const ledger = await read<{ event_id: string; execution: string }>('select * from ledger');
  const outbox = await read<{ event_id: string; last_error: string | null; is_dead: boolean }>(
    'select event_id, last_error, dead_at is not null as is_dead from graphql_idempotency.outbox',
  );
  const messages = await read<{ message_id: string; last_error: string | null }>(
    'select message_id, last_error from graphql_idempotency.inbox_failure where dead_at is not null',
  );
  return {
    paid: paid.map(({ call, event_id, execution, ordering_key, number }) => ({
      call,
      eventId: event_id,
      execution,
      place: ordering_key === null ? undefined : { orderingKey: ordering_key, number: number! },
    })),
    ledger: ledger.map(({ event_id, execution }) => ({ eventId: event_id, execution })),
    inOutbox: outbox.filter(({ is_dead }) => !is_dead).length,
    deadEvents: outbox
      .filter(({ is_dead }) => is_dead)
      .map(({ event_id, last_error }) => `${event_id}: ${last_error}`),
    deadMessages: messages.map(({ message_id, last_error }) => `${message_id}: ${last_error}`),
  };
}
