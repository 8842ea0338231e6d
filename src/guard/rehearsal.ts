/**
 * Lets a rehearsal stand around the resolvers of the calls that it makes itself. Only `graphql-idempotency/testing`
 * ever rehearses.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { GuardedCall } from './call.ts';
import type { CurrentAttempt } from './current.ts';

export interface Rehearsal {
  /** Runs the resolver of a call, with whatever is to happen before, after and instead of it. */
  around(call: GuardedCall, attempt: CurrentAttempt, resolve: () => unknown): unknown;
}

let storage: AsyncLocalStorage<Rehearsal> | undefined;

/** Runs work whose guarded calls are rehearsed. Calls from elsewhere, at the same time too, are not. */
export function rehearse<T>(rehearsal: Rehearsal, work: () => T): T {
  storage ??= new AsyncLocalStorage();
  return storage.run(rehearsal, work);
}

/** The rehearsal in which this code runs; one check where nobody ever rehearsed. */
export function currentRehearsal(): Rehearsal | undefined {
  return storage?.getStore();
}
