/** What the library tells anyone who listens: typed messages on one `node:diagnostics_channel`. */

import { channel } from 'node:diagnostics_channel';

/** Messages of the channel `graphql-idempotency`. None carries a key, a scope, arguments or a result. */
export type IdempotencyMessage =
  | {
      readonly type: 'answered';
      readonly coordinate: string;
      /** Hex of the record's primary key: what logs and traces may show in place of the key. None without a key. */
      readonly identity: string | undefined;
      readonly outcome: 'executed' | 'replayed' | 'refused' | 'failed';
      readonly code?: string;
    }
  | { readonly type: 'redis'; readonly event: RedisEvent; readonly error?: unknown }
  | { readonly type: 'postgres'; readonly event: PostgresEvent; readonly error?: unknown }
  | {
      readonly type: 'lease';
      readonly event: LeaseEvent;
      readonly coordinate: string;
      readonly identity: string;
      readonly attempt: number;
      readonly error?: unknown;
    }
  | { readonly type: 'swept'; readonly stripped: number; readonly deleted: number }
  | RelayMessage
  | InboxFailure;

/** A message that a consumer could not handle. `dead`: for the last time. */
export interface InboxFailure {
  readonly type: 'inbox';
  readonly event: 'failed' | 'dead';
  readonly consumer: string;
  /** Hex of the primary key of its record, once it has one. */
  readonly identity: string;
  readonly error: unknown;
}

/** What a relay does with the events of the outbox. */
export type RelayMessage =
  /** It has taken `count` events, and put `parked` others aside that must wait for something. */
  | { readonly type: 'relay'; readonly event: 'claimed'; readonly count: number; readonly parked: number }
  /** `released`: given back unpublished. `lost`: the lease was over first, so that another has taken them. */
  | { readonly type: 'relay'; readonly event: 'published' | 'released' | 'lost'; readonly count: number }
  /** `dead`: for the last time. */
  | {
      readonly type: 'relay';
      readonly event: 'failed' | 'dead';
      readonly eventId: string;
      readonly topic: string;
      readonly error: unknown;
    }
  | { readonly type: 'relay'; readonly event: 'waiting'; readonly waitMs: number }
  | { readonly type: 'relay'; readonly event: 'unavailable'; readonly error: unknown };

export type RedisEvent =
  | 'hit'
  | 'miss'
  | 'failed'
  | 'unreadable'
  | 'forged'
  | 'written'
  | 'write-failed'
  | 'circuit-open'
  | 'circuit-closed';

export type PostgresEvent =
  | 'unavailable'
  | 'commit-unanswered'
  | 'commit-resolved'
  | 'conflict'
  | 'broken'
  /** A statement came after its resolver had settled, and was refused. */
  | 'late-statement';

export type LeaseEvent =
  | 'claimed'
  | 'taken-over'
  | 'renewed'
  | 'renewal-failed'
  /** Its time is up without an answer from Postgres; another may hold it by now. */
  | 'lapsed'
  | 'lost'
  | 'completed'
  | 'released'
  | 'abandoned'
  /** Offered to a `recover` callback. */
  | 'recovering';

const messages = channel('graphql-idempotency');

/** Whether anybody listens: a message that costs something to make is made only then. */
export function isObserved(): boolean {
  return messages.hasSubscribers;
}

/** Publishes a message; costs nothing while nobody listens. */
export function publish(message: IdempotencyMessage): void {
  if (messages.hasSubscribers) messages.publish(message);
}
