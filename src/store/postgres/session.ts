/** One checked-out connection: sends statements as one message, notices its death, ends it for good. */

import type { PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { startDeadline } from '../deadline.ts';
import type { Origin } from '../port.ts';
import type { PreparedStatement } from './prepared.ts';
import { resultTypes } from './result-types.ts';
import { ROLLBACK } from './statements.ts';

type Result = QueryResult<QueryResultRow>;

/** What became of statements that were sent together. */
export type Answer =
  | { readonly kind: 'done'; readonly results: readonly Result[] }
  /** One of them failed, or there was no answer. */
  | { readonly kind: 'failed'; readonly error: unknown };

/** Parts of `pg`'s client that its types leave out. */
interface ClientInternals {
  readonly connection?: {
    readonly stream?: { destroy(): void };
    once(event: 'readyForQuery', listener: () => void): void;
    on(event: 'commandComplete', listener: (message: { readonly text: string }) => void): void;
    off(event: 'commandComplete', listener: (message: { readonly text: string }) => void): void;
  };
  readonly readyForQuery?: boolean;
  getTransactionStatus?(): string | null;
}

/** The tags of commands that begin a transaction, or may have committed one. */
const BOUNDARY = /^(?:BEGIN|START TRANSACTION|COMMIT|PREPARE TRANSACTION)/;

/** Ends a connection without waiting for what is under way on it. */
export function cut(client: PoolClient): void {
  (client as unknown as ClientInternals).connection?.stream?.destroy();
}

export class Session {
  readonly client: PoolClient;
  readonly origin: Origin;
  /** Resolves with the reason when the connection is lost, or was destroyed by a deadline. */
  readonly died: Promise<Error>;
  #boundaries = 0;
  #retired = false;
  #dead = false;
  #released = false;
  #reportDeath: (reason: Error) => void = () => {};

  constructor(client: PoolClient, origin: Origin) {
    this.client = client;
    this.origin = origin;
    this.died = new Promise((resolve) => {
      this.#reportDeath = resolve;
    });
    // A checked-out client whose backend is terminated emits `error`; unheard, it ends the process.
    client.on('error', this.#onDeath);
    client.on('end', this.#onDeath);
    (client as unknown as ClientInternals).connection?.on('commandComplete', this.#onCommand);
  }

  /** How often a transaction was begun or committed on this session, by whomever. */
  get boundaries(): number {
    return this.#boundaries;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** Whether a statement of the open transaction has failed, so that only a rollback is left. */
  get failed(): boolean {
    return this.#status === 'E';
  }

  /** Whether a transaction is open, as far as the driver can tell. */
  get inTransaction(): boolean {
    return (this.#status ?? 'I') !== 'I';
  }

  /**
   * Sends the statements as one message: one round trip, and nothing after a statement that fails. When the
   * deadline passes, the connection is destroyed: a client that timed out would hand its late answers to the
   * next caller.
   */
  send(statements: readonly string[], timeoutMs: number): Promise<Answer> {
    return this.#ask({ text: statements.join(';\n'), types: resultTypes }, timeoutMs);
  }

  /** Runs a prepared statement, which commits by itself where no transaction is open. */
  run(statement: PreparedStatement, values: readonly unknown[], timeoutMs: number): Promise<Answer> {
    return this.#ask({ ...statement, values: [...values], types: resultTypes }, timeoutMs);
  }

  async #ask(config: QueryConfig, timeoutMs: number): Promise<Answer> {
    if (this.#dead) return { kind: 'failed', error: new Error('the connection is lost') };
    const cancel = startDeadline(timeoutMs, () => this.destroy(new Error(`no answer for ${timeoutMs} ms`)));
    try {
      const answer: unknown = await this.client.query(config);
      return { kind: 'done', results: (Array.isArray(answer) ? answer : [answer]) as Result[] };
    } catch (error) {
      await this.settled();
      return { kind: 'failed', error };
    } finally {
      cancel();
    }
  }

  /**
   * Waits, after a failure, until the state of the transaction is known. Postgres flushes an error before it
   * sends the state, and the driver hands the error out at once: what is decided in between is decided by the
   * state before the statement, and a failed BEGIN; …; COMMIT would look as if nothing were open.
   */
  async settled(): Promise<void> {
    const { connection, readyForQuery } = this.client as unknown as ClientInternals;
    if (this.#dead || readyForQuery !== false || connection === undefined) return;
    const ready = new Promise<void>((resolve) => {
      connection.once('readyForQuery', resolve);
    });
    await Promise.race([ready, this.died]);
  }

  /** Ends the transaction, if one is open. A session that cannot is destroyed. */
  async rollBack(timeoutMs: number): Promise<void> {
    if (this.#status === 'I' || this.#dead) return;
    const answer = await this.send([ROLLBACK], timeoutMs);
    if (answer.kind === 'failed') this.destroy(new Error('rollback failed'));
  }

  /** Cuts the connection now: whatever the server still does, nobody here will take it for an answer. */
  destroy(reason: Error): void {
    if (this.#dead) return;
    this.#onDeath(reason);
    cut(this.client);
  }

  /** Lets nobody have the connection after this one: its settings are no longer those of a new one. */
  retire(): void {
    this.#retired = true;
  }

  /** Gives the connection back; a dead one is removed from its pool. Safe to call twice. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    (this.client as unknown as ClientInternals).connection?.off('commandComplete', this.#onCommand);
    // Nobody may inherit an open transaction, whatever went wrong before.
    if (!this.#dead && this.#status !== 'I') this.destroy(new Error('released inside a transaction'));
    if (this.#retired) this.destroy(new Error('its settings were changed'));
    if (this.#dead) {
      // The `error` listener stays: a late error of a removed client has nobody else to hear it.
      this.client.release(true);
      return;
    }
    this.client.off('error', this.#onDeath);
    this.client.off('end', this.#onDeath);
    this.client.release();
  }

  /** Rolls back whatever is open, without making anybody wait, and gives the connection back. */
  releaseInBackground(timeoutMs: number): void {
    void this.rollBack(timeoutMs).then(() => this.release());
  }

  get #status(): string | null {
    return (this.client as unknown as ClientInternals).getTransactionStatus?.() ?? null;
  }

  readonly #onCommand = ({ text }: { readonly text: string }): void => {
    if (BOUNDARY.test(text)) this.#boundaries += 1;
  };

  readonly #onDeath = (reason?: Error): void => {
    this.#dead = true;
    this.#reportDeath(reason ?? new Error('connection ended'));
  };
}
