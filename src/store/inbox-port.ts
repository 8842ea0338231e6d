/**
 * The inbox, as the rooms above know it: the messages that could not be handled. Whoever implements this promises:
 *
 * - What is noted stays until the message was handled, or somebody discards it. Whoever completes its record with a
 *   result forgets its failures in the same commit.
 * - Every write may arrive twice; then it counts a try too many, never one too few.
 */

/** A message, as it is kept where it has failed. */
export interface FailingMessage {
  /** The primary key of its record, once it has one. */
  readonly identity: Buffer;
  /** Of its payload, which tells it from others that share its id; `undefined` where there is none. */
  readonly fingerprint: Buffer | undefined;
  readonly consumer: string;
  readonly messageId: string;
  readonly codecVersion: number;
  /** All of it that its handler needs, encoded. */
  readonly body: Buffer;
}

/** What is known of a message that has failed before. */
export interface FailureCounts {
  /** How often handling it ended with an error. */
  readonly failures: number;
  /** How often it was begun and never heard of again. */
  readonly crashes: number;
  readonly isDead: boolean;
}

export interface MessageFailure {
  readonly error: string;
  /** Whether its beginning was noted. */
  readonly begun: boolean;
  /** From how many failures on it is a dead letter. */
  readonly maxFailures: number;
}

/** Which dead letters are meant: by identity, or all of a consumer, or all. */
export type DeadMessageFilter =
  | { readonly identities: readonly Buffer[] }
  | { readonly consumer: string | undefined };

export interface DeadMessageRow extends Omit<FailingMessage, 'fingerprint'> {
  /** A bigint, as text. */
  readonly position: string;
  /** By the store's clock, in milliseconds since 1970. */
  readonly firstMs: number;
  readonly diedMs: number;
  readonly failures: number;
  readonly crashes: number;
  readonly lastError: string;
}

export interface InboxStore {
  /**
   * Notes that handling it begins, before it does: what then never ends is found. A message that has taken as many
   * consumers with it as `crashLimit` becomes a dead letter instead. @throws StoreUnavailableError
   */
  begin(message: FailingMessage, crashLimit: number): Promise<FailureCounts>;
  /** Takes that back: nothing was tried. @throws StoreUnavailableError */
  giveBack(identity: Buffer): Promise<void>;
  /** Notes that handling it has failed. @throws StoreUnavailableError */
  fail(message: FailingMessage, failure: MessageFailure): Promise<FailureCounts>;
  /**
   * Forgets the failures of a message that was handled; returns whether there were any. A dead letter with another
   * payload under its id is not this message, and stays. @throws StoreUnavailableError
   */
  forget(message: FailingMessage): Promise<boolean>;
  /** The dead letters in the order of their first failures, from behind one of them. @throws StoreUnavailableError */
  dead(query: {
    readonly filter: DeadMessageFilter;
    readonly after: string | undefined;
    readonly limit: number;
  }): Promise<readonly DeadMessageRow[]>;
  /** Removes dead letters; returns how many. @throws StoreUnavailableError */
  discard(filter: DeadMessageFilter): Promise<number>;
}
