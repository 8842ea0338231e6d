/** An instance whose inbox is under test, on a database of the test's own. */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Inbox } from 'graphql-idempotency';
import { onTestFinished } from 'vitest';
import { startCalls } from '../guard/direct/calls.ts';
import type { Calls, CallsOptions } from '../guard/direct/calls.ts';

export interface InboxCase extends Calls {
  readonly inbox: Inbox;
  /** What is noted of messages that have failed, in the order of their first failures. */
  failures(): Promise<FailureRow[]>;
}

export interface FailureRow {
  readonly consumer: string;
  readonly message_id: string;
  readonly started: number;
  readonly finished: number;
  readonly dead: boolean;
  readonly last_error: string | null;
}

export interface InboxTold {
  readonly type: 'inbox';
  readonly event: 'failed' | 'dead';
  readonly consumer: string;
  readonly identity: string;
  readonly error: unknown;
}

export async function startInboxCase(options: CallsOptions = {}): Promise<InboxCase> {
  const calls = await startCalls(options);
  return {
    ...calls,
    inbox: calls.idempotency.inbox as Inbox,
    failures: () =>
      calls.sql<FailureRow>(
        `select consumer, message_id, started, finished, dead_at is not null as dead, last_error
         from graphql_idempotency.inbox_failure order by position`,
      ),
  };
}

/** What the inbox tells, until the test ends. */
export function toldByInbox(): InboxTold[] {
  const told: InboxTold[] = [];
  const listener = (message: unknown): void => {
    if ((message as InboxTold).type === 'inbox') told.push(message as InboxTold);
  };
  subscribe('graphql-idempotency', listener);
  onTestFinished(() => void unsubscribe('graphql-idempotency', listener));
  return told;
}

/** A handler that fails. */
export function failing(): never {
  throw new Error('no');
}

/** A handler that nobody may call. */
export function never(): never {
  throw new Error('it was handled again');
}
