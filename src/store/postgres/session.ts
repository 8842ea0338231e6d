/** One checked-out connection: sends statements as one round trip, notices its death, ends it for good. */

import type { PoolClient, QueryResult, QueryResultRow } from 'pg';
import type { Origin } from '../port.ts';
import type { Statement } from './statements.ts';
import { ROLLBACK } from './statements.ts';

export type Answer = PromiseSettledResult<QueryResult<QueryResultRow>>;

/** Parts of `pg`'s client that its types leave out. */
interface ClientInternals {
  readonly pipeline?: boolean;
  readonly connection?: { readonly stream?: { destroy(): void } };
  getTransactionStatus?(): string | null;
}

/** Ends a connection without waiting for what is under way on it. */
export function cut(client: PoolClient): void {
  (client as unknown as ClientInternals).connection?.stream?.destroy();
}

export class Session {
  readonly client: PoolClient;
  readonly origin: Origin;
  /** Resolves with the reason when the connection is lost, or was destroyed by a deadline. */
  readonly died: Promise<Error>;
  readonly #pipelined: boolean;
  #dead = false;
  #released = false;
  #reportDeath: (reason: Error) => void = () => {};

  constructor(client: PoolClient, origin: Origin) {
    this.client = client;
    this.origin = origin;
    this.#pipelined = (client as unknown as ClientInternals).pipeline === true;
    this.died = new Promise((resolve) => {
      this.#reportDeath = resolve;
    });
    // A checked-out client whose backend is terminated emits `error`; unheard, it ends the process.
    client.on('error', this.#onDeath);
    client.on('end', this.#onDeath);
  }

  get dead(): boolean {
    return this.#dead;
  }

  get pipelined(): boolean {
    return this.#pipelined;
  }

  /** Whether a statement of the open transaction has failed, so that only a rollback is left. */
  get failed(): boolean {
    return this.#status === 'E';
  }

  /**
   * Sends the statements in order, as one round trip where the driver pipelines. Without pipelining a
   * failure keeps the rest from being sent. When the deadline passes, the connection is destroyed: a client
   * that timed out would hand its late answers to the next caller.
   */
  async send(statements: readonly Statement[], timeoutMs: number): Promise<Answer[]> {
    if (this.#dead)
      return statements.map(() => ({ status: 'rejected', reason: new Error('connection lost') }));
    const deadline = setTimeout(() => this.destroy(new Error(`no answer for ${timeoutMs} ms`)), timeoutMs);
    try {
      if (this.#pipelined) {
        return await Promise.allSettled(statements.map((statement) => this.client.query({ ...statement })));
      }
      const answers: Answer[] = [];
      for (const statement of statements) {
        const [answer] = await Promise.allSettled([this.client.query({ ...statement })]);
        answers.push(answer);
        if (answer.status === 'rejected') break;
      }
      const skipped = {
        status: 'rejected',
        reason: new Error('not sent: the statement before it failed'),
      } as const;
      return [...answers, ...Array.from({ length: statements.length - answers.length }, () => skipped)];
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Cuts the connection now: whatever the server still does, nobody here will take it for an answer. */
  destroy(reason: Error): void {
    if (this.#dead) return;
    this.#onDeath(reason);
    cut(this.client);
  }

  /** Gives the connection back; a dead one is removed from its pool. Safe to call twice. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
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
    void this.send([ROLLBACK], timeoutMs).then(([answer]) => {
      if (answer?.status === 'rejected') this.destroy(new Error('rollback failed'));
      this.release();
    });
  }

  get #status(): string | null {
    return (this.client as unknown as ClientInternals).getTransactionStatus?.() ?? null;
  }

  readonly #onDeath = (reason?: Error): void => {
    this.#dead = true;
    this.#reportDeath(reason ?? new Error('connection ended'));
  };
}
