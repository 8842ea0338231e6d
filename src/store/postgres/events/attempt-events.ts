/**
 * The events of one attempt. They wait for its COMMIT, in whose message they travel at no cost. A savepoint ends
 * that: what is added behind it must be undone with it, and what was added before must not, so that from there on
 * each event is inserted when it is added, in its place among the statements.
 */

import type { NewEvent } from '../../outbox-port.ts';
import type { StatementQueue } from '../statement-queue.ts';

export interface AttemptEvents {
  /** @throws Error when the transaction is over. */
  add(event: NewEvent): void;
  /** To be called when a savepoint is about to be queued. */
  beforeSavepoint(): void;
  /** The statements that are still to be sent, at the end, before the record's. */
  takeHeld(): readonly string[];
}

/** `insert` makes the statement. */
export function attemptEvents(
  queue: StatementQueue,
  insert: (events: readonly NewEvent[]) => string,
): AttemptEvents {
  let held: NewEvent[] = [];
  let direct = false;

  function send(events: readonly NewEvent[]): void {
    if (events.length === 0) return;
    // Not awaited: where it fails, so does the transaction, and with it the COMMIT.
    queue.send({ text: insert(events) }).catch(ignore);
  }

  return {
    add(event) {
      queue.assertOpen();
      if (direct) send([event]);
      else held.push(event);
    },
    beforeSavepoint() {
      // Too late to be set. What is held goes with the COMMIT that is about to be sent.
      if (queue.over) return;
      direct = true;
      send(held);
      held = [];
    },
    takeHeld() {
      const events = held;
      held = [];
      return events.length === 0 ? [] : [insert(events)];
    },
  };
}

function ignore(): void {}
