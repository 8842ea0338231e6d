/** Connections of a test's own, which end with it. */

import pg from 'pg';
import { onTestFinished } from 'vitest';

/** Connects, and disconnects when the test ends. */
export async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

/** Runs the work in a transaction on the client, and rolls it back. */
export async function rolledBack<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('begin');
  try {
    return await work();
  } finally {
    await client.query('rollback');
  }
}

/** Resolves with what a promise is rejected with. */
export async function refusalOf(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; constraint?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it was not refused');
}

/** The name as a quoted identifier, by Postgres's rules and not by the library's code. */
export function quoted(name: string): string {
  return pg.escapeIdentifier(name);
}
