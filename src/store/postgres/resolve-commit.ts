/** Finds out what became of a COMMIT that nobody answered. */

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { publish } from '../../telemetry/channels.ts';
import type { Completion, NewRecord } from '../port.ts';
import { look, reasonOf, valueOf } from './outcome.ts';
import type { Pools } from './pools.ts';
import { sightingOf } from './rows.ts';
import type { ClaimRow } from './rows.ts';
import { IDENTITY_COMPLETED, sqlStateOf } from './sqlstate.ts';
import { BEGIN, ROLLBACK } from './statements.ts';
import type { Statement } from './statements.ts';

const RETRY_MS = 50;

export interface ProbeContext {
  readonly pools: Pools;
  readonly claimTimeout: number;
  readonly probeTimeout: number;
  readonly claimStatement: (identity: Buffer, token: string, timeoutMs?: number) => Statement;
  readonly completeStatement: (token: string, record: NewRecord) => Statement;
}

/**
 * Sends the record statement again, on a reserved connection. It waits for the old transaction, if that has
 * inserted its record and not ended. If it conflicts, the old COMMIT, or another's, has happened. If it wins,
 * nothing is committed so far; that is not "it did not happen", because messages of the old connection may
 * still be under way, and the primary key then makes either them or the retry fail. So it is rolled back,
 * and the client is told to retry with the same key.
 */
export async function resolveCommit(
  context: ProbeContext,
  record: NewRecord,
  cause: unknown,
): Promise<Completion> {
  publish({ type: 'postgres', event: 'commit-unanswered', error: cause });
  const deadline = performance.now() + context.probeTimeout;
  for (;;) {
    const remainingMs = Math.floor(deadline - performance.now());
    if (remainingMs <= 0) return { kind: 'unknown', cause };
    const completion = await probe(context, record, remainingMs, cause);
    if (completion !== undefined) {
      publish({ type: 'postgres', event: 'commit-resolved' });
      return completion;
    }
    // Postgres may be restarting.
    await sleep(Math.min(RETRY_MS, remainingMs));
  }
}

/** One try; `undefined` when it got no answer. */
async function probe(
  context: ProbeContext,
  record: NewRecord,
  remainingMs: number,
  cause: unknown,
): Promise<Completion | undefined> {
  const token = randomUUID();
  const session = await context.pools.acquire('reserved').catch(() => undefined);
  if (session === undefined) return undefined;
  try {
    const [, claimed, completed, ended] = await session.send(
      [
        BEGIN,
        context.claimStatement(record.identity, token, remainingMs),
        context.completeStatement(token, record),
        ROLLBACK,
      ],
      remainingMs + RETRY_MS,
    );
    if (session.failed && !session.dead) {
      const [again] = await session.send([ROLLBACK], context.claimTimeout);
      if (again?.status === 'rejected') session.destroy(new Error('rollback failed'));
    } else if (ended?.status === 'rejected' && completed?.status === 'fulfilled') {
      session.destroy(new Error('rollback failed'));
    }
    if (completed?.status === 'fulfilled') return { kind: 'aborted', cause };
    if (sqlStateOf(reasonOf(completed)) !== IDENTITY_COMPLETED) return undefined;
    const row = valueOf(claimed)?.rows[0] as unknown as ClaimRow | undefined;
    if (row !== undefined && row.state !== null) {
      return { kind: 'conflict', sighting: sightingOf(row, session.origin) };
    }
    // The record was committed between this probe's claim and its record statement.
    const sighting = await look({ ...context, session, token }, record.identity);
    return sighting === undefined ? undefined : { kind: 'conflict', sighting };
  } finally {
    context.pools.release(session);
  }
}
