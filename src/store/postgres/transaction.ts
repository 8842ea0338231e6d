/** The handle through which a resolver writes: part of one attempt, and over when the resolver settles. */

import type { QueryConfig } from 'pg';
import type { Transaction, TransactionResult, TransactionStatement } from '../port.ts';
import type { Session } from './session.ts';
import { changesSession, transactionCommandIn } from './sql-commands.ts';
import { isCausedByPostgres } from './sqlstate.ts';

export interface RevocableTransaction {
  readonly tx: Transaction;
  /** Whether a statement failed because of Postgres itself: serialization, deadlock, timeout, lost connection. */
  readonly failedByPostgres: boolean;
  /**
   * Refuses further statements, and resolves when those already queued have finished. Without it, what a
   * resolver left behind unawaited would run after the COMMIT, or in the next request's transaction.
   */
  revoke(): Promise<void>;
}

export function revocableTransaction(session: Session): RevocableTransaction {
  const queued = new Set<Promise<unknown>>();
  let last: Promise<unknown> = Promise.resolve();
  let open = true;
  let failedByPostgres = false;

  async function send(config: QueryConfig): Promise<TransactionResult<unknown>> {
    try {
      const { rows, rowCount, command } = await session.client.query(config);
      return { rows, rowCount, command };
    } catch (error) {
      await session.settled();
      failedByPostgres ||= session.dead || isCausedByPostgres(error);
      throw error;
    }
  }

  function query(statement: string | TransactionStatement, values?: readonly unknown[]): Promise<unknown> {
    let config: QueryConfig;
    try {
      config = toConfig(statement, values);
    } catch (error) {
      return refuse(error);
    }
    if (!open || session.dead) {
      return refuse(new Error('The transaction is over: its resolver has settled, or its session died.'));
    }
    // The next caller must not inherit what was meant for this one, by forgetting LOCAL.
    if (changesSession(config.text)) session.retire();
    // One at a time, in the callers' order: the driver has no queue of its own to rely on.
    const sent = last.then(() => send(config));
    // Heard here too: a failed statement that nobody awaits must not end the process. It has failed the
    // transaction, and the record statement will say so.
    const settled = sent.then(ignore, ignore);
    last = settled;
    queued.add(settled);
    void settled.then(() => queued.delete(settled));
    return sent;
  }

  return {
    tx: Object.freeze({ query }) as Transaction,
    get failedByPostgres() {
      return failedByPostgres;
    },
    async revoke() {
      open = false;
      if (queued.size > 0) await Promise.all(queued);
    },
  };
}

function ignore(): void {}

function refuse(reason: unknown): Promise<never> {
  const refusal = Promise.reject(reason);
  refusal.catch(ignore);
  return refusal;
}

function toConfig(statement: string | TransactionStatement, values?: readonly unknown[]): QueryConfig {
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
