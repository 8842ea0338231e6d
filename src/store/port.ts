/**
 * The store, as the guard knows it. Whoever implements this promises:
 *
 * - At most one record per identity is ever committed until `takeoverMs` has passed, whatever interleaves.
 * - A transaction's writes and its record become visible together or not at all.
 * - `committed` is said only of what is committed, `aborted` only when retrying with the same key is safe.
 * - Nothing throws but `StoreUnavailableError`, and that only where no resolver has run.
 */

import type { CompletedRecord, RecordOutcome, StoredRecord } from '../record/record.ts';
import type {
  AbandonedQuery,
  AbandonedRow,
  HeldLease,
  LeaseClaim,
  LeaseTerms,
  Takeover,
} from './lease-port.ts';
import type { InboxStore } from './inbox-port.ts';
import type { NewEvent, OutboxStore } from './outbox-port.ts';

/** What is written when a call completes. */
export interface NewRecord {
  readonly identity: Buffer;
  readonly scopeHash: Buffer;
  readonly coordinate: string;
  readonly fingerprintVersion: number;
  readonly fingerprint: Buffer;
  readonly outcome: RecordOutcome;
  readonly codecVersion: number;
  readonly body: Buffer;
  readonly ttlMs: number;
  readonly tombstoneTtlMs: number;
}

/** The database that a connection reaches. What one database committed says nothing about another. */
export interface Origin {
  /** Differs between any two databases, copies of each other included. */
  readonly tag: string;
  /** Key of the HMAC over what leaves the database for the fast tier. */
  readonly envelopeSecret: Buffer;
}

/** A row, as it was at one moment of the store's clock. */
export interface Sighting {
  readonly record: StoredRecord | undefined;
  /** Whether this caller, and nobody else, may execute where no row decides. */
  readonly granted: boolean;
  readonly clockMs: number;
  readonly origin: Origin;
}

/** How an attempt to complete ended. */
export type Completion =
  | {
      readonly kind: 'committed';
      readonly record: CompletedRecord;
      readonly origin: Origin;
      readonly wrote: boolean;
    }
  /** Rolled back: another attempt has completed this identity. */
  | { readonly kind: 'conflict'; readonly sighting: Sighting }
  /** Rolled back: another transaction holds this identity, and did not end in time. */
  | { readonly kind: 'busy' }
  /** Not committed so far; retrying with the same key is safe. */
  | { readonly kind: 'aborted'; readonly cause: unknown }
  /** The resolver poisoned its transaction, or ended it: then its writes may be committed without a record. */
  | { readonly kind: 'broken'; readonly mayBeCommitted: boolean; readonly cause: unknown }
  /** It could not be found out in time whether it is committed. */
  | { readonly kind: 'unknown'; readonly cause: unknown };

/** How a commit without a record ended. */
export type UnrecordedCompletion =
  | { readonly kind: 'committed' }
  | Extract<Completion, { readonly kind: 'aborted' | 'broken' | 'unknown' }>;

/** What a query through the transaction gives back. */
export interface TransactionResult<Row> {
  readonly rows: Row[];
  /** How many rows the command touched. */
  readonly rowCount: number | null;
  /** The command's name, for example `INSERT`. */
  readonly command: string;
}

/**
 * The attempt's transaction, for a resolver to write through: what it writes commits together with the
 * record, or not at all. It is over when the resolver settles.
 */
export interface Transaction {
  /**
   * Runs a statement. Savepoints are welcome; BEGIN, COMMIT, ROLLBACK and PREPARE TRANSACTION are refused,
   * because the guard begins and ends the transaction.
   *
   * @throws the driver's error if Postgres refuses the statement; an `Error` when the transaction is over.
   */
  query<Row = Record<string, unknown>>(
    statement: string | TransactionStatement,
    values?: readonly unknown[],
  ): Promise<TransactionResult<Row>>;
}

export interface TransactionStatement {
  readonly text: string;
  readonly values?: readonly unknown[];
  readonly name?: string;
  readonly rowMode?: 'array';
}

/** A transaction to work in. */
export interface OpenTransaction {
  readonly tx: Transaction;
  /** The library's own handle, where the transaction is a library's. */
  readonly client?: unknown;
  /** Resolves with the reason if the session ends before the work does. */
  readonly died: Promise<Error>;
  /**
   * Adds an event: it commits with what the transaction has written by now, and is undone with it, by a savepoint
   * that was set before, too. Returns at once. @throws Error when the transaction is over.
   */
  readonly addEvent: (event: NewEvent) => void;
  /** Runs work, so that joined pools query through this transaction, however deep they are called. */
  enter<T>(work: () => T): T;
  /**
   * Whether the store itself failed the transaction, or caused the error: a serialization failure, deadlock,
   * timeout or lost connection. Asked before the transaction ends.
   */
  wasFailedByStore(error: unknown): boolean;
}

/** One open transaction, from its claim on. */
export interface Attempt extends OpenTransaction {
  /** Ends an attempt that has run nothing, without waiting. */
  abandon(): void;
  /** Rolls back. `ended-underneath`: somebody else had ended the transaction, so its writes may be committed. */
  rollback(): Promise<'rolled-back' | 'ended-underneath'>;
  /** Writes the record and commits, in one round trip. */
  complete(record: NewRecord): Promise<Completion>;
  /** Rolls back, and commits the record alone. */
  completeInstead(record: NewRecord): Promise<Completion>;
  /** Commits without a record. */
  commitUnrecorded(): Promise<UnrecordedCompletion>;
}

export interface Claim extends Sighting {
  readonly attempt: Attempt;
}

/** The durable tier. */
export interface DurableStore {
  /** @throws ConfigurationError when the database cannot hold records. */
  open(): Promise<void>;
  /** Opens a transaction and looks at the identity. @throws StoreUnavailableError */
  claim(identity: Buffer): Promise<Claim>;
  /**
   * Opens a transaction without a record: for a call, as `claim` does, or for a step of one.
   *
   * @throws StoreUnavailableError
   */
  begin(use: 'call' | 'step'): Promise<Attempt>;
  /** Commits a record in a transaction of its own. */
  record(record: NewRecord): Promise<Completion>;
  /** Claims a lease, or says what stands in the way. @throws StoreUnavailableError */
  claimLease(terms: LeaseTerms): Promise<LeaseClaim>;
  /** Takes an abandoned record over; `undefined` when it is no longer what was seen. @throws StoreUnavailableError */
  takeOver(takeover: Takeover): Promise<HeldLease | undefined>;
  /** Lists records that nobody is at work on any more, in the order of their identities. @throws StoreUnavailableError */
  abandoned(query: AbandonedQuery): Promise<readonly AbandonedRow[]>;
  /** The events that were added, for relays. */
  readonly outbox: OutboxStore;
  /** The messages that could not be handled, for consumers. */
  readonly inbox: InboxStore;
  /** Says which database answers now; `undefined` when none does. */
  reached(): Promise<Origin | undefined>;
  /** Strips the bodies of expired records and deletes those that may be taken over; one batch of each. */
  sweep(batchSize: number): Promise<{ readonly stripped: number; readonly deleted: number }>;
  /** Ends every session, the ones at work too, and the pools that are the library's own. */
  close(): Promise<void>;
}

/** A completed record that the fast tier has seen. */
export interface Recollection {
  readonly record: CompletedRecord;
  readonly clockMs: number;
  /** The database that committed it. */
  readonly origin: Origin;
}

/** The fast tier. It may say "seen", never "not seen", and never fails. */
export interface FastTier {
  recall(identity: Buffer): Promise<Recollection | undefined>;
  /** Writes in the background. */
  remember(identity: Buffer, record: CompletedRecord, origin: Origin): void;
  close(): Promise<void>;
}

/** The store could not be used, and no resolver has run. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}
