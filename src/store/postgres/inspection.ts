/** Checks that a connection reaches a database that may hold records, and which one it is. */

import { createHash } from 'node:crypto';
import type { PoolClient } from 'pg';
import { ConfigurationError } from '../../errors/configuration-error.ts';
import type { Origin } from '../port.ts';
import { latestMigration } from './migrations.ts';
import { resultTypes } from './result-types.ts';
import { sqlStateOf } from './sqlstate.ts';
import type { Statements } from './statements.ts';

const OLDEST_VERSION = 150_000;

export interface Inspection {
  readonly origin: Origin;
  readonly clockMs: number;
  /** When that was asked, by `performance.now()`. */
  readonly askedMs: number;
}

/** What tells one database from every other. */
export interface OriginRow {
  readonly store_id: string;
  /** Hexadecimal. */
  readonly envelope_secret: string;
  readonly system_identifier: string;
  readonly timeline: string | null;
  readonly database_oid: string;
}

interface InspectionRow extends OriginRow {
  readonly in_recovery: boolean;
  readonly server_version: number;
  readonly migration: number | null;
  readonly unlogged: string | null;
  readonly clock_ms: number;
}

/** @throws ConfigurationError with what to do. Errors of the connection itself pass through. */
export async function inspect(
  client: Pick<PoolClient, 'query'>,
  statements: Statements,
  schema: string,
): Promise<Inspection> {
  const askedMs = performance.now();
  const row = await readRow(client, statements, schema);
  if (row.in_recovery) throw replicaRefused();
  const { version: known } = latestMigration();
  if (row.migration === null || row.migration < known) {
    throw new ConfigurationError(
      `The schema "${schema}" is at migration ${row.migration ?? 0}, this version needs ${known}. ${howToMigrate(schema)}`,
    );
  }
  if (row.migration > known) {
    throw new ConfigurationError(
      `The schema "${schema}" is at migration ${row.migration}, this version knows ${known}: a newer version has migrated it. Upgrade with: npm install graphql-idempotency@latest`,
    );
  }
  if (row.unlogged !== null) {
    throw new ConfigurationError(
      `The tables ${row.unlogged} in schema "${schema}" are not durable: a crash of Postgres would empty them. Run: alter table … set logged`,
    );
  }
  return { origin: originOf(row), clockMs: row.clock_ms, askedMs };
}

export function originOf(row: OriginRow): Origin {
  const parts = [row.store_id, row.system_identifier, row.timeline, row.database_oid].join('/');
  return {
    // A dump, a template or a restore copies the store id; the cluster, its timeline and the database's
    // oid tell the copy from its original.
    tag: createHash('sha256').update(parts).digest('base64url').slice(0, 22),
    envelopeSecret: Buffer.from(row.envelope_secret, 'hex'),
  };
}

export function replicaRefused(cause?: unknown): ConfigurationError {
  return new ConfigurationError(
    'The Postgres server is a replica (in recovery). Records are read and written on the primary only: point the database URL at it.',
    { cause },
  );
}

/** The command that an error about migrations names. */
export function howToMigrate(schema: string): string {
  // The name is quoted for a shell where it needs to be.
  const name = /^[\w-]+$/.test(schema) ? schema : `'${schema.replaceAll("'", `'\\''`)}'`;
  return `Run: npx graphql-idempotency migrate --schema ${name}   (or call idempotency.migrate(), or set the option migrate: true)`;
}

/** The error of a schema in which somebody else's objects stand in the way, or only a part of ours is left. */
export function foreignSchema(schema: string, cause: unknown): ConfigurationError {
  return new ConfigurationError(
    `The schema "${schema}" holds objects that the migrations of graphql-idempotency did not make, or only a part of what they make. Choose another schema (option \`schema\`, variable IDEMPOTENCY_SCHEMA), or remove what is there and migrate again.`,
    { cause },
  );
}

async function readRow(
  client: Pick<PoolClient, 'query'>,
  statements: Statements,
  schema: string,
): Promise<InspectionRow> {
  const version = await client.query<{ version: number }>({
    text: `select current_setting('server_version_num')::integer as version`,
    types: resultTypes,
  });
  if (version.rows[0]!.version < OLDEST_VERSION) {
    throw new ConfigurationError(
      `The Postgres server has version ${Math.floor(version.rows[0]!.version / 10_000)}; 15 is the oldest that is supported.`,
    );
  }
  try {
    const { rows } = await client.query<InspectionRow>({ text: statements.inspect, types: resultTypes });
    if (rows[0] !== undefined) return rows[0];
  } catch (error) {
    const state = sqlStateOf(error) ?? '';
    // A column or a function is missing, or has namesakes.
    if (/^(?:42703|42883|42725)$/.test(state)) throw foreignSchema(schema, error);
    // A table or the schema itself is missing: never installed.
    if (!/^(?:42P01|3F000)$/.test(state)) throw error;
  }
  throw new ConfigurationError(
    `The schema "${schema}" does not hold the tables of graphql-idempotency. ${howToMigrate(schema)}`,
  );
}
