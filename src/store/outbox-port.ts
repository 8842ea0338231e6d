/**
 * The outbox, as the rooms above know it. Whoever implements this promises:
 *
 * - An event is there once its transaction has committed, and is never seen before, nor without it.
 * - Of all relays at most one holds an event at a time, until its lease is over; its writes match its claim.
 * - No claim takes an event while an earlier one of the same key is there that is not in the same claim. Earlier is
 *   what has the smaller position, of those that were committed when the claim was made: nobody waits for others.
 * - What got no answer is sent again until it has one or its time is up: every write may arrive twice.
 */

/** An event, as it is written in a transaction. */
export interface NewEvent {
  readonly eventId: string;
  readonly topic: string;
  /** Events of one key are published in the order of their rows' positions. */
  readonly orderingKey: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer;
}

/** An event in the outbox. */
export interface StoredEvent extends NewEvent {
  /** The row's primary key; a bigint, as text. */
  readonly position: string;
  /** By the store's clock, in milliseconds since 1970. */
  readonly createdMs: number;
  /** How often publishing it has failed. */
  readonly failures: number;
}

/** What a relay wants to publish. */
export interface EventClaim {
  /** The claim's token: a UUID. */
  readonly token: string;
  /** Of these topics only. */
  readonly topics: readonly string[] | undefined;
  readonly limit: number;
  /** Of payloads and headers together. The first event goes whatever it has. */
  readonly maxBytes: number;
  readonly leaseMs: number;
  /** From how many relays on that an event has silenced it is published alone. */
  readonly crashLimit: number;
  /** Leaves out what has been available since before, in milliseconds of the store's clock; see `ClaimedEvents`. */
  readonly sinceMs: number | undefined;
}

export interface ClaimedEvents {
  /** In the order of their availability; those of one key in the order of their positions. */
  readonly events: readonly StoredEvent[];
  /** Dead letters that this claim has made: of events that silenced their relays. */
  readonly buried: readonly BuriedEvent[];
  /** How many events were parked, because they stand behind another of their key, or their topic is paused. */
  readonly parked: number;
  /** Whether it would have taken more, had they fewer bytes. */
  readonly cutShort: boolean;
  /**
   * Nothing that was committed by now and has been available since before this moment is left to be claimed.
   * `undefined`: nothing can be said.
   */
  readonly doneMs: number | undefined;
  /** By `performance.now()`, when it was asked for: the leases are counted from a later moment. */
  readonly askedMs: number;
}

export interface BuriedEvent {
  readonly eventId: string;
  readonly topic: string;
  /** How many relays it has silenced. */
  readonly crashes: number;
}

/** What became of events that were claimed. */
export interface FinishedEvents {
  readonly token: string;
  readonly published: readonly StoredEvent[];
  readonly failed: readonly FailedEvent[];
  /** Given back: nobody has tried to publish them. */
  readonly released: readonly StoredEvent[];
}

export interface FailedEvent {
  readonly event: StoredEvent;
  readonly error: string;
  /** After how many milliseconds it may be tried again; `undefined`: it is a dead letter. */
  readonly retryInMs: number | undefined;
}

/** Which dead letters are meant: by id, or all of a topic, or all. */
export type DeadLetterFilter = { readonly ids: readonly string[] } | { readonly topic: string | undefined };

export interface DeadRow extends StoredEvent {
  readonly diedMs: number;
  /** How many relays were not heard of again that took it. */
  readonly crashes: number;
  readonly lastError: string;
}

/** How many events there are in each state. */
export interface OutboxCounts {
  /** To be published now. */
  readonly ready: number;
  /** Claimed by a relay, or waiting for the next try. */
  readonly waiting: number;
  /** Behind another of their key, or of a paused topic. */
  readonly parked: number;
  readonly dead: number;
  /** How long the oldest that is not dead has been there, in milliseconds; 0 where there is none. */
  readonly lagMs: number;
}

export interface OutboxStore {
  /** @throws StoreUnavailableError */
  claimEvents(claim: EventClaim): Promise<ClaimedEvents>;
  /** Moves the end of the leases; returns the positions that are still held. @throws StoreUnavailableError */
  renewEvents(token: string, positions: readonly string[], leaseMs: number): Promise<ReadonlySet<string>>;
  /** Removes what was published, and gives the rest back. Says how many were still held. @throws StoreUnavailableError */
  finishEvents(finished: FinishedEvents): Promise<number>;
  /** `''`: all topics. @throws StoreUnavailableError */
  pauseEvents(topic: string): Promise<void>;
  /** @throws StoreUnavailableError */
  resumeEvents(topic: string): Promise<void>;
  /** The dead letters in the order of their positions, from behind one of them. @throws StoreUnavailableError */
  deadEvents(query: {
    readonly topic: string | undefined;
    readonly after: string | undefined;
    readonly limit: number;
  }): Promise<readonly DeadRow[]>;
  /** Makes dead letters ready; returns how many. @throws StoreUnavailableError */
  redriveEvents(filter: DeadLetterFilter): Promise<number>;
  /** Removes dead letters unpublished; returns how many. @throws StoreUnavailableError */
  discardEvents(filter: DeadLetterFilter): Promise<number>;
  /** @throws StoreUnavailableError */
  countEvents(): Promise<OutboxCounts>;
  /**
   * Calls back when there may be events to claim, until what it returns is called: this process has committed some,
   * or, with `remote`, another says that it has. A hint and no more: it may be missing, and it may be wrong.
   */
  watchEvents(listener: () => void, remote: boolean): () => void;
}
