/** The handle `tx` of an attempt in a library's transaction: over when the resolver settles. */

import type { RunnerTransaction } from '../../../config/transaction-runner.ts';
import { publish } from '../../../telemetry/channels.ts';
import type { Transaction, TransactionResult, TransactionStatement } from '../../port.ts';
import { statementHeads } from '../sql-commands.ts';
import { refusal } from '../statement-queue.ts';
import { configOf } from '../transaction.ts';
import { rowsOf } from './library-answer.ts';
import { FAILED_TRANSACTION } from '../sqlstate.ts';
import { isCausedByServer, sqlStateWithin } from './library-errors.ts';

export interface LibraryHandle {
  readonly tx: Transaction;
  /** Whether a statement failed because of Postgres itself: serialization, deadlock, timeout, lost connection. */
  readonly failedByPostgres: boolean;
  /**
   * Sends a statement of the store's own, in its place among the others, and does not wait for it.
   *
   * @throws Error when the transaction is over.
   */
  write(text: string): void;
  /** Why such a statement failed that the transaction has outlived. */
  readonly unwritten: unknown;
  /** Refuses further statements, and resolves when those under way have finished. */
  revoke(): Promise<void>;
}

export function libraryHandle(transaction: RunnerTransaction): LibraryHandle {
  const underWay = new Set<Promise<unknown>>();
  /** Settles with the last statement of `tx` and of the store's own; `undefined` where none is under way. */
  let last: Promise<unknown> | undefined;
  /** How many statements of `tx` have not been answered. */
  let waiting = 0;
  let open = true;
  let failedByPostgres = false;
  let unwritten: unknown;

  async function send(text: string, values: readonly unknown[]): Promise<TransactionResult<unknown>> {
    try {
      const rows = [...rowsOf(await transaction.query(text, values))];
      return { rows, rowCount: null, command: commandOf(text) };
    } catch (error) {
      failedByPostgres ||= isCausedByServer(error);
      throw error;
    }
  }

  function query(statement: string | TransactionStatement, values?: readonly unknown[]): Promise<unknown> {
    if (!open) return refusal(tooLate());
    let text: string;
    let given: readonly unknown[];
    try {
      if (typeof statement === 'object' && statement.rowMode !== undefined) {
        throw new TypeError('tx.query gives rows as objects here, because the transaction is a library’s.');
      }
      const config = configOf(statement, values);
      ({ text } = config);
      given = config.values ?? [];
    } catch (error) {
      return refusal(error);
    }
    waiting += 1;
    // One at a time, in the callers' order: not every library has a queue of its own.
    const sent = track((last ?? Promise.resolve()).then(() => send(text, given)));
    const answered = (): void => void (waiting -= 1);
    sent.then(answered, answered);
    return sent;
  }

  function track<T>(sent: Promise<T>): Promise<T> {
    // A failed statement that nobody awaits must not end the process.
    const settled = sent.then(ignore, ignore);
    const before = last;
    const both = before === undefined ? settled : Promise.all([before, settled]).then(ignore);
    last = both;
    underWay.add(settled);
    void settled.then(() => underWay.delete(settled));
    return sent;
  }

  return {
    tx: Object.freeze({ query }) as Transaction,
    get failedByPostgres() {
      return failedByPostgres;
    },
    write(text) {
      if (!open) throw tooLate();
      // In this very turn, unless the resolver's own statements wait: what it sends next by the library's handle, a
      // savepoint perhaps, must be behind it.
      const sent = waiting === 0 ? send(text, []) : last!.then(() => send(text, []));
      track(sent).catch((error: unknown) => {
        // In a failed transaction it is the failure that counts: whoever rolls that back undoes this as well.
        if (sqlStateWithin(error) !== FAILED_TRANSACTION) unwritten ??= error;
      });
    },
    get unwritten() {
      return unwritten;
    },
    async revoke() {
      open = false;
      await Promise.all(underWay);
    },
  };
}

function tooLate(): Error {
  publish({ type: 'postgres', event: 'late-statement' });
  return new Error(
    'The transaction is over: its resolver has settled. Await every query before the resolver returns.',
  );
}

/** The command's name, of the last statement as Postgres tells it. */
function commandOf(text: string): string {
  const heads = [...statementHeads(text, 1)].filter((words) => words.length > 0);
  return heads.at(-1)?.[0] ?? '';
}

function ignore(): void {}
