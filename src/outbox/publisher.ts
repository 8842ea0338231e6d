/** What a relay publishes, and to whom. */

/** An event, as a publisher gets it. */
export interface OutboxEvent {
  /** A UUID: the same whenever this event is published, and of no other; see `Outbox.add`. */
  readonly id: string;
  readonly topic: string;
  /** Events of one key come one after the other, in the order in which they were added; see `EventToAdd.key`. */
  readonly key: string | undefined;
  readonly payload: Buffer;
  /** With `content-type`. */
  readonly headers: Readonly<Record<string, string>>;
  /** When it was added, by the database's clock. */
  readonly createdAt: Date;
  /** Which try at publishing it this is, from 1, without those whose relay died. */
  readonly attempt: number;
}

/** What became of one event: `undefined` where the broker has it, else why not. */
export type PublishOutcome = Error | undefined;

/** A broker's client, as the relay drives it. Where it is one event at a time, a function will do. */
export interface Publisher {
  /**
   * Publishes events, and resolves when the broker has said of each whether it has it: one outcome for each, in their
   * order. No two of them have the same key, so that they may go out in any order. Rejects where nothing can be said
   * of any of them: then all have failed, and are tried again.
   */
  publish(events: readonly OutboxEvent[]): Promise<readonly PublishOutcome[]>;
}

/** Publishes one event: resolves when the broker has it, throws when it has not. */
export type PublishFunction = (event: OutboxEvent) => unknown;
