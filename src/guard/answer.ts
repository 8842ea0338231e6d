/** What a call is answered: its own outcome, or the first one's. */

import { decode } from '../record/codec.ts';
import type { Decision } from '../record/decide.ts';
import type { StoredRecord } from '../record/record.ts';
import { decodeError } from '../record/stored-error.ts';
import type { DurableStore, FastTier, Origin } from '../store/port.ts';
import type { AttemptSettings } from './attempt-settings.ts';
import type { GuardedCall } from './call.ts';
import type { Means } from './current.ts';
import type { Flights } from './flights.ts';
import type { LeaseSettings } from './lease/keep-lease.ts';
import type { Recoverer } from './lease/recoverer.ts';
import { inProgress, recordUnreadable, refusalFor } from './refusals.ts';

/** How a call ended that was not refused. */
export type Answer =
  | { readonly outcome: 'executed' | 'replayed'; readonly kind: 'result'; readonly value: unknown }
  | { readonly outcome: 'executed' | 'replayed'; readonly kind: 'error'; readonly error: unknown };

export interface PassageContext {
  readonly durable: Omit<DurableStore, 'open' | 'sweep' | 'close' | 'outbox' | 'inbox'>;
  readonly fast: Pick<FastTier, 'recall' | 'remember'>;
  readonly flights: Flights;
  readonly retryAfterMs: number;
  readonly replayWithoutDatabase: boolean;
  readonly attempts: AttemptSettings;
  readonly leases: LeaseSettings;
  readonly recovery: Recoverer;
  readonly waitTimeoutMs: number;
}

export interface Passenger {
  readonly call: GuardedCall;
  /** Refuses a replay by throwing. */
  readonly authorizeReplay: () => Promise<void>;
  readonly resolve: (means: Means) => unknown;
  /** Says when the client has gone, where that is known. */
  readonly clientSignal: () => AbortSignal | undefined;
}

/** Gives a call the answer of a record that is there. */
export async function answer(
  context: Pick<PassageContext, 'retryAfterMs'>,
  passenger: Passenger,
  decision: Decision,
): Promise<Answer> {
  const { call } = passenger;
  if (decision.kind === 'execute') throw inProgress({ ...call, ...context });
  if (decision.kind !== 'replay') throw refusalFor(decision, { ...call, ...context });
  await passenger.authorizeReplay();
  try {
    return decision.outcome === 'error'
      ? { outcome: 'replayed', kind: 'error', error: decodeError(decision.body) }
      : { outcome: 'replayed', kind: 'result', value: decode(decision.body) };
  } catch (error) {
    throw recordUnreadable(call.coordinate, error);
  }
}

/** Refills the fast tier with what the durable one holds. */
export function remember(
  context: Pick<PassageContext, 'fast'>,
  call: GuardedCall,
  record: StoredRecord,
  origin: Origin,
): void {
  if (record.state === 'completed') context.fast.remember(call.identity, record, origin);
}
