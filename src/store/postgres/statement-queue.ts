/** The statements of one attempt: one at a time, in their callers' order, until the attempt is over. */

import type { QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { publish } from '../../telemetry/channels.ts';
import type { Session } from './session.ts';
import { changesSession } from './sql-commands.ts';
import { isCausedByPostgres } from './sqlstate.ts';

export type Result = QueryResult<QueryResultRow>;

export class StatementQueue {
  readonly session: Session;
  /** Settles with the last of those that are queued; `undefined` where none is. Never rejects. */
  #last: Promise<void> | undefined;
  #open = true;
  #died = false;
  #failedByPostgres = false;

  constructor(session: Session) {
    this.session = session;
  }

  /** Whether nothing more is accepted. */
  get over(): boolean {
    return !this.#open || this.session.dead;
  }

  /** Whether a statement failed because of Postgres itself: serialization, deadlock, timeout, lost connection. */
  get failedByPostgres(): boolean {
    return this.#failedByPostgres;
  }

  /** @throws Error when nothing more is accepted. */
  assertOpen(): void {
    if (this.over) throw this.#tooLate();
  }

  /** Sends the statement after those before it. */
  send(config: QueryConfig): Promise<Result> {
    return this.enqueue(() => this.query(config));
  }

  /** Does work with the session after the statements before it. */
  enqueue<T>(work: () => Promise<T>): Promise<T> {
    if (this.over) return this.#refuse();
    // One at a time, in the callers' order: the driver has no queue of its own to rely on.
    const sent = this.#last === undefined ? work() : this.#last.then(work);
    // Heard here too: a failed statement that nobody awaits must not end the process. It has failed the
    // transaction, and the record statement will say so.
    const over = (): void => {
      if (this.#last === last) this.#last = undefined;
    };
    const last = sent.then(over, over);
    this.#last = last;
    return sent;
  }

  /** Resolves when what is queued now has been answered. */
  async answered(): Promise<void> {
    await this.#last;
  }

  /**
   * Refuses further statements, and resolves when those already queued have finished. Without it, what a
   * resolver left behind unawaited would run after the COMMIT, or in the next request's transaction.
   */
  revoke(): Promise<void> {
    // Of an attempt that ends because its session died, nobody is told that its resolver was at fault.
    if (this.#open) this.#died = this.session.dead;
    this.#open = false;
    return this.#last ?? settled;
  }

  /** Sends at once: only for work that has been enqueued. */
  async query(config: QueryConfig): Promise<Result> {
    // The next caller must not inherit what was meant for this one, by forgetting LOCAL.
    if (changesSession(config.text)) this.session.retire();
    try {
      return await this.session.client.query(config);
    } catch (error) {
      await this.session.settled();
      this.#failedByPostgres ||= this.session.dead || isCausedByPostgres(error);
      throw error;
    }
  }

  #refuse(): Promise<never> {
    return refusal(this.#tooLate());
  }

  #tooLate(): Error {
    const died = this.#open || this.#died;
    if (!died) publish({ type: 'postgres', event: 'late-statement' });
    return new Error(
      died
        ? 'The transaction is over: its session died.'
        : 'The transaction is over: its resolver has settled. Await every query before the resolver returns.',
    );
  }
}

/** A rejection that ends no process where nobody awaits it. */
export function refusal(reason: unknown): Promise<never> {
  const refused = Promise.reject(reason);
  refused.catch(ignore);
  return refused;
}

function ignore(): void {}

const settled = Promise.resolve();
