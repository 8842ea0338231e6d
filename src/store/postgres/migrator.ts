/** Brings a database to this version's migrations, however many processes try at once. */

import type { ClientBase } from 'pg';
import { ConfigurationError } from '../../errors/configuration-error.ts';
import { foreignSchema, replicaRefused } from './inspection.ts';
import { latestMigration, migrations, sqlFor } from './migrations.ts';
import { quoteIdentifier } from './quote-identifier.ts';
import { resultTypes } from './result-types.ts';
import { sqlStateOf } from './sqlstate.ts';

export interface MigrationResult {
  readonly schema: string;
  /** Names of the migrations that this call applied; empty when there was nothing to do. */
  readonly applied: readonly string[];
}

/** A table, type, function or column that is there already, or is not what it is called. */
const FOREIGN = /^(?:42P07|42710|42723|42703)$/;
/** What a replica answers to BEGIN READ WRITE: not supported. */
const NOT_ON_A_REPLICA = '0A000';

/** Applies what is missing, in one transaction. @throws ConfigurationError when the schema is newer or foreign. */
export async function migrateWith(client: ClientBase, schema: string): Promise<MigrationResult> {
  await client.query('begin isolation level read committed read write').catch((error: unknown) => {
    throw sqlStateOf(error) === NOT_ON_A_REPLICA ? replicaRefused(error) : error;
  });
  try {
    // Held to the end of the transaction. Two processes that start at once would otherwise both find the
    // schema missing, and the later one fail on what the earlier made.
    await client.query(`select pg_advisory_xact_lock(hashtextextended($1, 0))`, [
      `graphql-idempotency migrations of ${schema}`,
    ]);
    const current = await currentVersion(client, schema);
    const { version: known } = latestMigration();
    if (current > known) {
      throw new ConfigurationError(
        `The schema "${schema}" is at migration ${current}, this version knows ${known}: a newer version has migrated it. Upgrade with: npm install graphql-idempotency@latest`,
      );
    }
    const missing = migrations().filter(({ version }) => version > current);
    for (const migration of missing) await client.query(sqlFor(migration, schema));
    await client.query('commit');
    return { schema, applied: missing.map(({ name }) => name) };
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw FOREIGN.test(sqlStateOf(error) ?? '') ? foreignSchema(schema, error) : error;
  }
}

async function currentVersion(client: ClientBase, schema: string): Promise<number> {
  const table = `${quoteIdentifier(schema)}.migration`;
  const { rows } = await client.query<{ found: string | null }>('select to_regclass($1)::text as found', [
    table,
  ]);
  if (rows[0]?.found == null) return 0;
  const newest = await client.query<{ version: unknown }>({
    text: `select max(version) as version from ${table}`,
    types: resultTypes,
  });
  const version = newest.rows[0]?.version ?? 0;
  if (typeof version !== 'number') throw foreignSchema(schema, undefined);
  return version;
}
