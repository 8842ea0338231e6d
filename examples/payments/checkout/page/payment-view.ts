/** Where the cart's payment stands: what was begun here, or sent again after a reload, or paid before. */

import type { MutationStatus } from 'graphql-idempotency/client/react';
import type { ResumedIntent } from './resumed.ts';
import { attemptsOf } from './timeline.ts';
import type { Served, TimelineState } from './timeline.ts';

export type PaymentView =
  | { readonly state: 'idle' }
  | { readonly state: 'sending'; readonly attempt: number }
  | { readonly state: 'retrying'; readonly attempt: number; readonly nextTryAt: number }
  | { readonly state: 'unknown' }
  /** `served` is absent where it was paid before the page was loaded. */
  | { readonly state: 'done'; readonly served?: Served }
  | { readonly state: 'failed'; readonly reason: string };

export interface PaymentFacts {
  readonly status: MutationStatus;
  readonly attempts: TimelineState;
  readonly resumed: ResumedIntent | undefined;
  /** Whether the account had a payment for this cart when the page was loaded. */
  readonly paidBefore: boolean;
}

export function viewPayment({ status, attempts, resumed, paidBefore }: PaymentFacts): PaymentView {
  switch (status.state) {
    case 'idle':
      if (resumed !== undefined) return viewResumed(resumed, attempts);
      return paidBefore ? { state: 'done' } : { state: 'idle' };
    case 'sending':
    case 'retrying':
      return status;
    case 'unknown':
      return { state: 'unknown' };
    case 'done':
      return { state: 'done', served: status.replayed ? 'replayed' : 'executed' };
    case 'failed':
      return { state: 'failed', reason: status.error.message };
  }
}

function viewResumed({ intent, gaveUp }: ResumedIntent, attempts: TimelineState): PaymentView {
  if (gaveUp) return { state: 'unknown' };
  const last = attemptsOf(attempts, intent.key).at(-1);
  const wait = attempts.waits.get(intent.key);
  const attempt = last?.number ?? 1;
  if (wait !== undefined) return { state: 'retrying', attempt: attempt + 1, nextTryAt: wait.nextTryAt };
  if (last?.outcome.kind === 'answered') return { state: 'done', served: last.outcome.served };
  if (last?.outcome.kind === 'refused') {
    return { state: 'failed', reason: last.outcome.code ?? `Status ${last.outcome.status}` };
  }
  return { state: 'sending', attempt };
}
