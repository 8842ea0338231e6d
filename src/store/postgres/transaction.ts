/** The handle through which a resolver writes: part of one attempt, and over when the resolver settles. */

import type { QueryConfig } from 'pg';
import type { NewEvent } from '../outbox-port.ts';
import type { Transaction, TransactionResult, TransactionStatement } from '../port.ts';
import { JoinedTransaction } from './ambient/joined-transaction.ts';
import { attemptEvents } from './events/attempt-events.ts';
import type { Session } from './session.ts';
import { transactionCommandIn } from './sql-commands.ts';
import { StatementQueue, refusal } from './statement-queue.ts';
import type { Result } from './statement-queue.ts';

export interface RevocableTransaction {
  readonly tx: Transaction;
  /** The same transaction, as clients see it that join it. */
  readonly joined: JoinedTransaction;
  /** Whether a statement failed because of Postgres itself: serialization, deadlock, timeout, lost connection. */
  readonly failedByPostgres: boolean;
  /** @throws Error when the transaction is over. */
  addEvent(event: NewEvent): void;
  /** Whether any was added. */
  readonly addedEvents: boolean;
  /** Statements for events that were not inserted yet: to be sent with the COMMIT. */
  heldEvents(): readonly string[];
  /** Refuses further statements, and resolves when those already queued have finished. */
  revoke(): Promise<void>;
}

export function revocableTransaction(
  session: Session,
  insertEvents: (events: readonly NewEvent[]) => string,
): RevocableTransaction {
  const queue = new StatementQueue(session);
  const events = attemptEvents(queue, insertEvents);
  let addedEvents = false;
  const joined = new JoinedTransaction(queue, () => events.beforeSavepoint());

  function query(statement: string | TransactionStatement, values?: readonly unknown[]): Promise<unknown> {
    let config: QueryConfig;
    try {
      config = configOf(statement, values);
    } catch (error) {
      return refusal(error);
    }
    const sent = joined.statement(undefined, config).then(resultOf);
    // A failed statement that nobody awaits must not end the process.
    sent.catch(ignore);
    return sent;
  }

  return {
    tx: Object.freeze({ query }) as Transaction,
    joined,
    get failedByPostgres() {
      return queue.failedByPostgres;
    },
    addEvent(event) {
      events.add(event);
      addedEvents = true;
      joined.noteWrite();
    },
    get addedEvents() {
      return addedEvents;
    },
    heldEvents: () => events.takeHeld(),
    revoke() {
      const revoked = queue.revoke();
      joined.close();
      return revoked;
    },
  };
}

function ignore(): void {}

function resultOf({ rows, rowCount, command }: Result): TransactionResult<unknown> {
  return { rows, rowCount, command };
}

/** Reads what `tx.query` was given. @throws Error for what it does not take. */
export function configOf(statement: string | TransactionStatement, values?: readonly unknown[]): QueryConfig {
  const { text, ...rest } = typeof statement === 'string' ? { text: statement } : statement;
  if (typeof text !== 'string' || 'submit' in rest) {
    throw new TypeError(
      'tx.query takes SQL text, or an object with `text` and `values`; cursors are not supported.',
    );
  }
  const command = transactionCommandIn(text);
  if (command !== undefined) {
    throw new Error(
      `tx.query refuses ${command}: the guard begins and ends this transaction. Use savepoints, or throw to roll back.`,
    );
  }
  const given = values ?? (rest as { values?: readonly unknown[] }).values;
  return { ...rest, text, ...(given === undefined ? {} : { values: [...given] }) } as QueryConfig;
}
