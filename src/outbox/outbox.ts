/** What a resolver adds its events by. */

import type { NewEvent } from '../store/outbox-port.ts';
import { readEvent } from './event.ts';
import type { EventToAdd } from './event.ts';
import { eventIdOf } from './event-id.ts';

/** The outbox of one attempt, or of one step of it. */
export interface Outbox {
  /**
   * Adds an event, which is published by a relay once the attempt has committed, at least once; never if it is rolled
   * back. Takes no round trip of its own: it is written in the message that commits.
   *
   * An event that is added after a savepoint, or in a transaction begun inside the attempt, is undone with that.
   *
   * @example
   * ```ts
   * const { tx, outbox } = idempotency.current(info);
   * await tx.query('update orders set captured = true where id = $1', [id]);
   * outbox.add({ topic: 'payment.captured', key: id, payload: { id } });
   * ```
   *
   * @returns the event's id, a UUID, by which consumers tell a repetition: the relay may publish one event more than
   * once. Derived from the call's identity, the number of its retention period (Postgres's clock divided by `ttl`),
   * the step and the event's place in it. So two attempts of one call give an event the same id where they add their
   * events in the same order and began in the same period, even if a restored database has forgotten the first; and
   * a key that is executed anew after its `ttl` gives new ones. Without a client's key it is a new one each time.
   * @throws TypeError naming what of the event cannot be kept; nothing was added.
   * @throws Error when the attempt is over.
   */
  add(event: EventToAdd): string;
}

export interface OutboxContext {
  readonly identity: Buffer;
  /** When the attempt began, in periods of the call's retention; see `periodOf`. `''` without a key. */
  readonly period: string;
  /** Name of the step; `''` outside of steps. */
  readonly step: string;
  readonly maxEventBytes: number;
  /** Adds it to the transaction. @throws Error when that is over. */
  readonly write: (event: NewEvent) => void;
}

export function openOutbox({ identity, period, step, maxEventBytes, write }: OutboxContext): Outbox {
  let ordinal = 0;
  return Object.freeze({
    add(event: EventToAdd): string {
      const read = readEvent(event, maxEventBytes);
      const eventId = eventIdOf({ identity, period, step, ordinal });
      write({ ...read, eventId });
      ordinal += 1;
      return eventId;
    },
  });
}
