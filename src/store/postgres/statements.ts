/** Every statement that this store sends, with the schema filled in once. */

import type { NewRecord } from '../port.ts';
import { quoteIdentifier } from './quote-identifier.ts';

export interface Statement {
  readonly text: string;
  readonly values?: unknown[];
}

/** What of a claim's session a resolver may have changed, and the record statement must not inherit. */
export interface ClaimSettings {
  readonly authorization: string;
  readonly role: string;
  readonly synchronousCommit: string;
}

export type Statements = ReturnType<typeof statementsFor>;

/** Pinned, because a session default of REPEATABLE READ would make the record statement raise 40001. */
export const BEGIN: Statement = { text: 'begin isolation level read committed read write' };
export const COMMIT: Statement = { text: 'commit' };
export const ROLLBACK: Statement = { text: 'rollback' };

/** Whether the transaction of an attempt is still the one that its claim began. */
export const MARKER: Statement = { text: `select current_setting('idempotency.attempt', true) as attempt` };

/** Undoes what a resolver set locally, so that the record statement runs as the claim did. */
export function restoreSettings(claim: ClaimSettings, timeoutMs: number, lockTimeoutMs: number): Statement {
  return {
    text: `select set_config('session_authorization', $1, true), set_config('role', $2, true),
      set_config('synchronous_commit', $3, true), set_config('statement_timeout', $4, true),
      set_config('lock_timeout', $5, true), pg_current_xact_id_if_assigned() is not null as wrote`,
    values: [
      claim.authorization,
      claim.role,
      claim.synchronousCommit,
      String(timeoutMs),
      String(lockTimeoutMs),
    ],
  };
}

export function statementsFor(schemaName: string) {
  const schema = quoteIdentifier(schemaName);
  return Object.freeze({
    claim: (claim: {
      readonly identity: Buffer;
      readonly attempt: string;
      readonly transactionTimeoutMs: number;
      readonly lockTimeoutMs: number;
      readonly connectionCheckMs: number;
    }): Statement => ({
      text: `select * from ${schema}.claim($1, $2, $3, $4, $5)`,
      values: [
        claim.identity,
        claim.attempt,
        claim.transactionTimeoutMs,
        claim.lockTimeoutMs,
        claim.connectionCheckMs,
      ],
    }),

    complete: (attempt: string, record: NewRecord): Statement => ({
      text: `select * from ${schema}.complete($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
      values: [
        attempt,
        record.identity,
        record.scopeHash,
        record.coordinate,
        record.fingerprintVersion,
        record.fingerprint,
        record.outcome,
        record.codecVersion,
        record.body,
        record.ttlMs,
        record.tombstoneTtlMs,
      ],
    }),

    /** Which database this connection reaches, and what is installed there. */
    inspect: {
      text: `select
        pg_is_in_recovery() as in_recovery,
        current_setting('server_version_num')::integer as server_version,
        (select max(m.version) from ${schema}.migration as m) as migration,
        (select string_agg(c.relname, ', ') from pg_catalog.pg_class as c
          where c.oid in ('${literal(schema)}.record'::regclass, '${literal(schema)}.store'::regclass)
            and c.relpersistence <> 'p') as unlogged,
        s.store_id::text as store_id,
        s.envelope_secret as envelope_secret,
        (select k.system_identifier::text from pg_control_system() as k) as system_identifier,
        case when pg_is_in_recovery() then null
          else substring(pg_walfile_name(pg_current_wal_insert_lsn()) from 1 for 8) end as timeline,
        (select d.oid::text from pg_catalog.pg_database as d where d.datname = current_database()) as database_oid,
        extract(epoch from clock_timestamp())::double precision * 1000 as clock_ms
      from ${schema}.store as s`,
    } satisfies Statement,

    /** Bodies go when their record expires. SKIP LOCKED: sweepers of several processes share the work. */
    strip: (batchSize: number): Statement => ({
      text: `with due as (
          select r.identity from ${schema}.record as r
          where r.sweep_after < (select clock_timestamp()) and r.takeover_after > (select clock_timestamp())
          order by r.sweep_after limit $1 for update skip locked
        )
        update ${schema}.record as r set body = null, sweep_after = r.takeover_after
        from due where r.identity = due.identity`,
      values: [batchSize],
    }),

    /** Rows go when their key may be executed anew: a retry finds no row either way. */
    remove: (batchSize: number): Statement => ({
      text: `with due as (
          select r.identity from ${schema}.record as r
          where r.sweep_after < (select clock_timestamp()) and r.takeover_after <= (select clock_timestamp())
          order by r.sweep_after limit $1 for update skip locked
        )
        delete from ${schema}.record as r using due where r.identity = due.identity`,
      values: [batchSize],
    }),
  });
}

function literal(text: string): string {
  return text.replaceAll("'", "''");
}
