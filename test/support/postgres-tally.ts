/** Counts what passes between a client and Postgres, exactly: trips, statements, commits, connections. */

import type { WireMessage } from './postgres-wire.ts';

/** What has passed since the proxy started or was last reset. */
export interface PostgresCounts {
  /** Sessions that were started; requests to cancel are none. */
  readonly connections: number;
  /**
   * How often a client that had every answer it had asked for sent something and so had to wait for an answer
   * again. Statements sent without waiting share one. The start of a session is not counted.
   */
  readonly roundTrips: number;
  /** Statements executed, as sent, in order. */
  readonly statements: readonly string[];
  /** Transactions that ended with the tag COMMIT. */
  readonly commits: number;
  /** Transactions that ended with the tag ROLLBACK, failed COMMITs among them. */
  readonly rollbacks: number;
  /** Statements that Postgres committed by itself, because no transaction was open. */
  readonly autocommits: number;
}

/** What one connection reports to its proxy's counts. */
export interface ConnectionTally {
  /** A client's message has arrived at the proxy. */
  readonly sent: (message: WireMessage) => void;
  /** A server's message has arrived at the proxy. */
  readonly answered: (message: WireMessage) => void;
  /** A server's message has been passed on: from here on, what the client sends may depend on it. */
  readonly delivered: (message: WireMessage) => void;
}

/** The counts of one proxy, over all its connections. */
export class PostgresTally {
  #counts = emptyCounts();

  counts(): PostgresCounts {
    return { ...this.#counts, statements: [...this.#counts.statements] };
  }

  reset(): void {
    this.#counts = emptyCounts();
  }

  /** Follows one connection. */
  connection(): ConnectionTally {
    let started = false;
    let unanswered = 0;
    let openBurst = false;
    let inTransaction = false;
    let completed = 0;
    return {
      sent: ({ type, sql }) => {
        if (type === 'Startup') this.#counts.connections += 1;
        if (!started || type === 'Terminate') return;
        if (unanswered === 0 && !openBurst) this.#counts.roundTrips += 1;
        if (type === 'Query' || type === 'Execute') this.#counts.statements.push(sql ?? '');
        // Parse, Bind and Execute get their ReadyForQuery only after the Sync that ends their burst.
        openBurst = type !== 'Query' && type !== 'Sync';
        if (!openBurst) unanswered += 1;
      },
      answered: ({ type, tag, status }) => {
        if (type === 'CommandComplete') {
          const ends = tag === 'COMMIT' || tag === 'COMMIT PREPARED';
          if (ends) this.#counts.commits += 1;
          if (tag === 'ROLLBACK') this.#counts.rollbacks += 1;
          // A message may hold several statements: what stands before its COMMIT or after its BEGIN is not on its own.
          completed = ends || tag === 'ROLLBACK' || tag === 'BEGIN' ? 0 : completed + 1;
        }
        if (type !== 'ReadyForQuery') return;
        if (started && !inTransaction && status === 'I') this.#counts.autocommits += completed;
        inTransaction = status !== 'I';
        completed = 0;
      },
      delivered: ({ type }) => {
        if (type !== 'ReadyForQuery') return;
        if (started) unanswered = Math.max(0, unanswered - 1);
        started = true;
      },
    };
  }
}

function emptyCounts(): { -readonly [Name in keyof PostgresCounts]: PostgresCounts[Name] } & {
  statements: string[];
} {
  return { connections: 0, roundTrips: 0, statements: [], commits: 0, rollbacks: 0, autocommits: 0 };
}
