/** The faults that a resolver's attempt is made to meet, once the resolver has done all its work. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { CurrentAttempt } from '../guard/current.ts';
import type { Fault } from './rehearsed-call.ts';

/** A fault, and what came of it. */
export interface FaultyAttempt {
  readonly fault: Fault;
  /** Whether the resolver returned, so that the fault had its moment. */
  readonly reached: boolean;
  /** Why there was no fault in spite of that. */
  readonly failedToFail: string | undefined;
  /** Whether nothing was written through the transaction; `false` also where that is not known. */
  readonly wroteNothing: boolean;
}

/** Ends the session of the attempt's transaction before the record is written. */
export function killedAtCommit(): FaultyAttempt {
  const state = { reached: false, failedToFail: undefined as string | undefined, wroteNothing: false };
  return Object.assign(state, {
    async fault({ tx }: CurrentAttempt, resolve: () => unknown): Promise<unknown> {
      const value = await resolve();
      state.reached = true;
      try {
        await tx.query('select pg_terminate_backend(pg_backend_pid())');
        // An answer to the first may still be under way when the session ends, never one to the second.
        await tx.query('select 1');
        state.failedToFail = 'this database does not end the session of an attempt';
      } catch {
        // As it should be.
      }
      return value;
    },
  });
}

/** Throws in place of the result. */
export function thrownError(): FaultyAttempt {
  const state = { reached: false, failedToFail: undefined, wroteNothing: false };
  return Object.assign(state, {
    async fault({ tx }: CurrentAttempt, resolve: () => unknown): Promise<never> {
      await resolve();
      state.reached = true;
      state.wroteNothing = await tx
        .query<{ silent: boolean }>('select pg_current_xact_id_if_assigned() is null as silent')
        .then(
          ({ rows }) => rows[0]?.silent === true,
          () => false,
        );
      throw new Error('Thrown by verifyIdempotency in place of the result.');
    },
  });
}

/** Holds an attempt at its beginning, until it is told to go on or the time is over. */
export function heldAttempt(longestMs: number): {
  readonly fault: Fault;
  readonly begun: Promise<void>;
  readonly goOn: () => void;
} {
  let begin!: () => void;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const told = new AbortController();
  return {
    begun,
    goOn: () => told.abort(),
    async fault(_attempt, resolve) {
      begin();
      await sleep(longestMs, undefined, { signal: told.signal }).catch(() => {});
      return resolve();
    },
  };
}
