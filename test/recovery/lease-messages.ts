/** What the library tells listeners about leases, while a test runs. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IdempotencyMessage, LeaseEvent } from 'graphql-idempotency';
import { onTestFinished } from 'vitest';
import { eventually } from '../support/signal.ts';

export type LeaseMessage = Extract<IdempotencyMessage, { readonly type: 'lease' }>;

export interface LeaseMessages {
  readonly all: readonly LeaseMessage[];
  count(event: LeaseEvent): number;
  /** Waits until an event has been told so often. */
  until(event: LeaseEvent, times?: number): Promise<void>;
}

export function leaseMessages(): LeaseMessages {
  const all: LeaseMessage[] = [];
  const listen = (message: unknown): void => {
    const told = message as IdempotencyMessage;
    if (told.type === 'lease') all.push(told);
  };
  subscribe('graphql-idempotency', listen);
  onTestFinished(() => void unsubscribe('graphql-idempotency', listen));
  const count = (event: LeaseEvent): number => all.filter((message) => message.event === event).length;
  return {
    all,
    count,
    async until(event, times = 1) {
      await eventually(() => count(event) >= times, { what: `${times} × ${event}` });
    },
  };
}
