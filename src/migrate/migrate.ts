/** The side door for deployments: brings a database to this version's migrations. */

import { Client } from 'pg';
import type { Pool } from 'pg';
import { migrateWith } from '../store/postgres/migrator.ts';
import type { MigrationResult } from '../store/postgres/migrator.ts';

export type { MigrationResult } from '../store/postgres/migrator.ts';

export type MigrateOptions = {
  /** The Postgres schema that holds the records. @defaultValue `graphql_idempotency` */
  readonly schema?: string;
} & ({ readonly connectionString: string } | { readonly pool: Pool });

/**
 * Applies the missing migrations in one transaction. Safe when many processes start at once: one migrates,
 * the others wait and find nothing to do.
 *
 * @throws ConfigurationError when a newer version has migrated the schema; Postgres's error when it refuses.
 */
export async function migrate(options: MigrateOptions): Promise<MigrationResult> {
  const schema = options.schema ?? 'graphql_idempotency';
  if ('pool' in options) {
    const client = await options.pool.connect();
    client.on('error', ignore);
    try {
      return await migrateWith(client, schema);
    } finally {
      client.off('error', ignore);
      client.release();
    }
  }
  const client = new Client({ connectionString: options.connectionString });
  client.on('error', ignore);
  await client.connect();
  try {
    return await migrateWith(client, schema);
  } finally {
    await client.end();
  }
}

/** The query under way reports a lost connection; unheard, the client's own event would end the process. */
function ignore(): void {}
