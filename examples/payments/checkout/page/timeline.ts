/** Every attempt that this page has made at a mutation, and the wait for the next one. Knows no React. */

import type { Retry } from 'graphql-idempotency/client';

export type Served = 'executed' | 'replayed';

export type Outcome =
  | { readonly kind: 'pending' }
  /** The connection broke, or nobody waited any longer. */
  | { readonly kind: 'lost'; readonly tookMs: number }
  | {
      readonly kind: 'refused';
      readonly tookMs: number;
      readonly status: number;
      readonly code: string | undefined;
    }
  | { readonly kind: 'answered'; readonly tookMs: number; readonly status: number; readonly served: Served };

export interface Attempt {
  readonly id: string;
  readonly key: string;
  /** Of this key, on this page; the first is 1. */
  readonly number: number;
  /** How long it waited for its turn, in milliseconds; absent where nothing came before. */
  readonly waitedMs: number | undefined;
  /** In milliseconds since 1970. */
  readonly sentAt: number;
  readonly outcome: Outcome;
}

export interface Wait {
  readonly delayMs: number;
  /** In milliseconds since 1970. */
  readonly nextTryAt: number;
}

export interface TimelineState {
  /** Oldest first. */
  readonly attempts: readonly Attempt[];
  /** What is waited for, by key. */
  readonly waits: ReadonlyMap<string, Wait>;
}

export interface Timeline {
  readonly state: () => TimelineState;
  /** Calls back after every change; the returned function ends that. */
  readonly subscribe: (listener: () => void) => () => void;
  readonly waits: (retry: Pick<Retry, 'key' | 'delayMs'>) => void;
  /** No attempt follows with this key. */
  readonly stopsWaiting: (key: string) => void;
  readonly begins: (attempt: { readonly id: string; readonly key: string }) => void;
  readonly ends: (id: string, outcome: Exclude<Outcome, { kind: 'pending' }>) => void;
}

export function createTimeline(): Timeline {
  const listeners = new Set<() => void>();
  let state: TimelineState = { attempts: [], waits: new Map() };

  const change = (next: Partial<TimelineState>): void => {
    state = { ...state, ...next };
    for (const listener of listeners) listener();
  };

  return {
    state: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    waits({ key, delayMs }) {
      if (key === undefined) return;
      const wait: Wait = { delayMs, nextTryAt: Date.now() + delayMs };
      change({ waits: new Map(state.waits).set(key, wait) });
    },
    stopsWaiting(key) {
      if (state.waits.has(key)) change({ waits: without(state.waits, key) });
    },
    begins({ id, key }) {
      const waited = state.waits.get(key);
      const attempt: Attempt = {
        id,
        key,
        number: state.attempts.filter((one) => one.key === key).length + 1,
        // Longer than was meant, where the browser was offline or asleep.
        waitedMs: waited && Date.now() - waited.nextTryAt + waited.delayMs,
        sentAt: Date.now(),
        outcome: { kind: 'pending' },
      };
      change({ attempts: [...state.attempts, attempt], waits: without(state.waits, key) });
    },
    ends(id, outcome) {
      change({ attempts: state.attempts.map((one) => (one.id === id ? { ...one, outcome } : one)) });
    },
  };
}

export function attemptsOf({ attempts }: TimelineState, key: string): readonly Attempt[] {
  return attempts.filter((attempt) => attempt.key === key);
}

function without(waits: TimelineState['waits'], key: string): TimelineState['waits'] {
  return new Map([...waits].filter(([other]) => other !== key));
}
