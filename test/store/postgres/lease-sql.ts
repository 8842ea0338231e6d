/** The statements of lease mode, sent on a connection of the test's own, and rows of every age to send them to. */

import { randomBytes } from 'node:crypto';
import type { Client } from 'pg';
import type { Row } from '../../../src/record/lease.ts';
import type { Fence } from '../../../src/record/record.ts';
import type { LeaseTerms, Outcome, RecordedStep } from '../../../src/store/lease-port.ts';
import { leaseStatementsFor } from '../../../src/store/postgres/lease-statements.ts';
import type { Holder } from '../../../src/store/postgres/lease-statements.ts';
import { resultTypes } from '../../../src/store/postgres/result-types.ts';
import { sightingOf } from '../../../src/store/postgres/rows.ts';
import type { ClaimLeaseRow, CompleteLeaseRow } from '../../../src/store/postgres/rows.ts';
import type { Origin } from '../../../src/store/port.ts';

export const MINUTE_MS = 60_000;
export const LEASE_MS = 60 * MINUTE_MS;
export const TTL_MS = 120 * MINUTE_MS;
export const TOMBSTONE_MS = 60 * MINUTE_MS;

export const RESULT: Outcome = { outcome: 'result', codecVersion: 1, body: Buffer.from('"body"') };

export const statements = leaseStatementsFor('graphql_idempotency', 10_000, '');

export function newFence(): Fence {
  return (randomBytes(8).readBigUInt64BE() >> 1n).toString() as Fence;
}

export function termsOf(identity: Buffer, changed: Partial<LeaseTerms> = {}): LeaseTerms {
  return {
    identity,
    scopeHash: Buffer.alloc(32, 2),
    coordinate: 'Mutation.wire',
    fingerprintVersion: 1,
    fingerprint: Buffer.alloc(32, 3),
    ttlMs: TTL_MS,
    tombstoneTtlMs: TOMBSTONE_MS,
    leaseMs: LEASE_MS,
    ...changed,
  };
}

export function stepNamed(name: string, outcome: Outcome = RESULT): RecordedStep {
  return { ...outcome, name, attempt: 1 };
}

/** What is sent: the text of a statement, or a call of a function. */
type Sent = string | { readonly text: string };

/** Sends statements as one message; returns the last one's rows, and how many it touched. */
export async function send(
  client: Client,
  ...sent: readonly Sent[]
): Promise<{ readonly rows: readonly Record<string, unknown>[]; readonly count: number }> {
  const text = sent.map((one) => (typeof one === 'string' ? one : one.text)).join(';\n');
  const answer: unknown = await client.query({ text, types: resultTypes });
  const results = (Array.isArray(answer) ? answer : [answer]) as { rows: never[]; rowCount: number }[];
  const { rows, rowCount } = results.at(-1)!;
  return { rows, count: rowCount };
}

export async function claimLease(client: Client, fence: Fence, terms: LeaseTerms): Promise<ClaimLeaseRow> {
  const { rows } = await send(client, statements.claim(fence, terms));
  return rows[0] as unknown as ClaimLeaseRow;
}

export async function renew(client: Client, holder: Holder, leaseMs = LEASE_MS): Promise<boolean> {
  return (await send(client, statements.renew(holder, leaseMs))).count === 1;
}

export interface TakenOver {
  readonly attempt: number;
  /** Names, in the order of the journal. */
  readonly steps: readonly string[];
}

/** Takes over in a transaction of its own; `undefined` where the compare-and-set found nothing. */
export async function takeOver(
  client: Client,
  fence: Fence,
  { identity, seen, rerun = true }: { identity: Buffer; seen: Fence; rerun?: boolean },
): Promise<TakenOver | undefined> {
  const text = [
    'begin isolation level read committed read write',
    statements.takeOver(fence, { identity, seen, rerun, leaseMs: LEASE_MS }),
    statements.steps(identity),
    'commit',
  ].join(';\n');
  const answer: unknown = await client.query({ text, types: resultTypes });
  const [, taken, steps] = answer as { rows: Record<string, unknown>[] }[];
  const row = taken!.rows[0];
  if (row === undefined) return undefined;
  return { attempt: Number(row['attempt']), steps: steps!.rows.map(({ name }) => String(name)) };
}

/** Returns whether it was not there before. */
export async function recordStep(
  client: Client,
  holder: Holder,
  name: string,
  {
    marker = '',
    lockTimeoutMs = 10_000,
    outcome = RESULT,
  }: { marker?: string; lockTimeoutMs?: number; outcome?: Outcome } = {},
): Promise<boolean> {
  const { rows } = await send(
    client,
    statements.recordStep(holder, stepNamed(name, outcome), marker, lockTimeoutMs),
  );
  return rows[0]!['fresh'] as boolean;
}

export async function completeLease(
  client: Client,
  holder: Holder,
  outcome: Outcome = RESULT,
  hasSteps = true,
): Promise<CompleteLeaseRow> {
  const { rows } = await send(client, statements.complete(holder, outcome, hasSteps));
  return rows[0] as unknown as CompleteLeaseRow;
}

export async function releaseLease(client: Client, holder: Holder, settled = false): Promise<boolean | null> {
  return (await send(client, statements.release(holder, settled))).rows[0]!['released'] as boolean | null;
}

export async function abandon(client: Client, holder: Holder): Promise<boolean> {
  return (await send(client, statements.abandon(holder))).count === 1;
}

/** Moves all times of a record into the past, as if so much time had passed. */
export async function age(client: Client, identity: Buffer, ms: number): Promise<void> {
  const columns = [
    'completed_at',
    'expires_at',
    'takeover_after',
    'sweep_after',
    'lease_until',
    'abandoned_at',
  ];
  await client.query(
    `update graphql_idempotency.record
      set ${columns.map((name) => `${name} = ${name} - $2 * interval '1 millisecond'`).join(', ')}
      where identity = $1`,
    [identity, ms],
  );
}

/** Reads the record as the library does, with its journal, and the clock beside it. */
export async function read(
  client: Client,
  identity: Buffer,
): Promise<{ readonly row: Row | undefined; readonly clockMs: number }> {
  const { rows } = await client.query({
    text: `select (select graphql_idempotency.sighting(r) from graphql_idempotency.record as r
          where r.identity = n.identity) as existing,
        extract(epoch from clock_timestamp())::double precision * 1000 as clock_ms,
        (select json_agg(json_build_object('name', t.name, 'fence', t.fence::text) order by t.completed_at, t.name)
          from graphql_idempotency.step as t where t.identity = n.identity) as steps
      from (select $1::bytea as identity) as n`,
    values: [identity],
    types: resultTypes,
  });
  const { existing, clock_ms: clockMs, steps } = rows[0];
  const { record } = sightingOf({ granted: false, clock_ms: clockMs, existing }, {} as Origin);
  return { row: record && { record, steps: steps ?? [] }, clockMs };
}

/** All columns of the record, by Postgres's own reading. */
export async function columnsOf(
  client: Client,
  identity: Buffer,
): Promise<Record<string, unknown> | undefined> {
  const { rows } = await client.query('select * from graphql_idempotency.record where identity = $1', [
    identity,
  ]);
  return rows[0];
}
