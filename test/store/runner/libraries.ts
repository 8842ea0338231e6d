/** Libraries that own their transactions, made of plain `pg`: a sound one, and what may be wrong with others. */

import type pg from 'pg';
import type { RunnerTransaction, TransactionRunner } from 'graphql-idempotency';
import { identityOf } from '../../../src/key/identity.ts';
import type { Key } from '../../../src/key/key-form.ts';

export type Lent = RunnerTransaction<pg.PoolClient>;

/** What a library does in its own way; by default what it should. */
export interface LibraryOptions {
  readonly begin?: string;
  /** Sends a statement of the guard's or of `tx`. */
  readonly query?: (client: pg.PoolClient, text: string, values: readonly unknown[]) => Promise<unknown>;
  /** Before COMMIT. */
  readonly beforeCommit?: (client: pg.PoolClient) => unknown;
}

export function libraryOn(
  pool: pg.Pool,
  { begin = 'begin', query = send, beforeCommit = () => {} }: LibraryOptions = {},
): TransactionRunner<pg.PoolClient> {
  return async (work) => {
    const client = await pool.connect();
    // Its backend may be terminated; unheard, that would end the process.
    client.on('error', ignore);
    let lost = false;
    try {
      await client.query(begin);
      await work({ client, query: (text, values) => query(client, text, values) });
      await beforeCommit(client);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback').catch(() => {
        lost = true;
      });
      throw error;
    } finally {
      client.off('error', ignore);
      client.release(lost);
    }
  };
}

export async function send(
  client: pg.PoolClient,
  text: string,
  values: readonly unknown[],
): Promise<readonly unknown[]> {
  return (await client.query(text, [...values])).rows;
}

/** Writes the record of another operation with this key. It takes no lock, which is a courtesy. */
export async function completeElsewhere(on: Pick<pg.Pool, 'query'>, key: string): Promise<void> {
  const identity = identityOf({ namespace: '', scope: 'alice', key: key as Key }).toString('hex');
  await on.query(
    `begin; set local idempotency.attempt = 'other';
     select * from graphql_idempotency.complete('other', 1000, '', decode('${identity}', 'hex'),
       decode(repeat('ab', 32), 'hex'), 'Mutation.other', 1::smallint, decode(repeat('cd', 32), 'hex'), 'result',
       1::smallint, 'x'::bytea, 100000, 0);
     commit`,
  );
}

function ignore(): void {}
