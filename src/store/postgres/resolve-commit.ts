/** Finds out what became of a COMMIT that nobody answered. */

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { publish } from '../../telemetry/channels.ts';
import type { Completion, NewRecord } from '../port.ts';
import { look } from './outcome.ts';
import type { Pools } from './pools.ts';
import { IDENTITY_COMPLETED, sqlStateOf } from './sqlstate.ts';
import { BEGIN, ROLLBACK } from './statements.ts';

const RETRY_MS = 50;

export interface ProbeContext {
  readonly pools: Pools;
  readonly claimTimeout: number;
  readonly probeTimeout: number;
  readonly claimStatement: (identity: Buffer, token: string, timeoutMs?: number) => string;
  readonly completeStatement: (
    token: string,
    record: NewRecord,
    claimed: undefined,
    lockTimeoutMs: number,
  ) => string;
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
    const { identity } = record;
    const answer = await session.send(
      [
        BEGIN,
        context.claimStatement(identity, token, remainingMs),
        context.completeStatement(token, record, undefined, remainingMs),
        ROLLBACK,
      ],
      remainingMs + RETRY_MS,
    );
    await session.rollBack(context.claimTimeout);
    if (answer.kind === 'done') return { kind: 'aborted', cause };
    if (sqlStateOf(answer.error) !== IDENTITY_COMPLETED) return undefined;
    const sighting = await look({ ...context, session, token }, identity);
    return sighting === undefined ? undefined : { kind: 'conflict', sighting };
  } finally {
    context.pools.release(session);
  }
}
