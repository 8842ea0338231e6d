/** An instance that guards calls without a schema or a server, on a database of the test's own. */

import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency, IdempotencyOptions, Transaction } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll } from 'vitest';
import { createDatabase } from '../../support/database.ts';

export interface Context {
  readonly user: string;
}

export interface Logged {
  readonly level: string;
  readonly message: string;
  readonly facts: { readonly code?: string; readonly cause?: unknown } | undefined;
}

export interface Calls {
  readonly url: string;
  readonly idempotency: Idempotency<Context>;
  readonly log: readonly Logged[];
  /** Writes to the table `effects` through a transaction, and returns what it wrote. */
  write(tx: Transaction, name: string): Promise<string>;
  /** What is in the table `effects`, read on another connection. */
  effects(): Promise<string[]>;
  sql<Row extends object>(text: string, values?: unknown[]): Promise<Row[]>;
}

export interface CallsOptions extends Partial<IdempotencyOptions<Context>> {
  /** Another one's database: then this is another process beside it. */
  readonly beside?: Calls;
}

/** Ends with the test file. */
export async function startCalls({ beside, ...options }: CallsOptions = {}): Promise<Calls> {
  const url = beside?.url ?? (await createDatabase({ migrated: true })).url;
  const own = new pg.Pool({ connectionString: url, max: 2 });
  own.on('error', () => {});
  await own.query('create table if not exists effects (id serial, name text not null)');
  const log: Logged[] = [];
  const logger = (level: string) => (message: string, facts?: unknown) =>
    void log.push({ level, message, facts: facts as Logged['facts'] });
  const idempotency = createIdempotency<Context>({
    scope: ({ user }) => user,
    postgres: url,
    redis: false,
    sweepInterval: 0,
    recoverInterval: 0,
    logger: { info: logger('info'), warn: logger('warn'), error: logger('error') },
    ...options,
  });
  ends.push(async () => {
    await idempotency.close();
    await own.end();
  });
  return {
    url,
    idempotency,
    log,
    async write(tx, name) {
      await tx.query('insert into effects (name) values ($1)', [name]);
      return name;
    },
    effects: async () =>
      (await own.query<{ name: string }>('select name from effects order by id')).rows.map(
        ({ name }) => name,
      ),
    sql: async (text, values) => (await own.query(text, values)).rows,
  };
}

/** The code of the error with which a call ends; what it answers, where it does. */
export async function codeOf(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    return (error as { code?: unknown }).code ?? error;
  }
}

const ends: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const end of ends) await end();
});
