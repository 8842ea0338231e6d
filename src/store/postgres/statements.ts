/** Every statement that this store sends, with the schema filled in once. */

import type { NewRecord } from '../port.ts';
import { quoteIdentifier } from './quote-identifier.ts';
import { literal } from './sql-literal.ts';

/** What of a claim's session a resolver may have changed, and the record statement must not inherit. */
export interface ClaimSettings {
  readonly authorization: string;
  readonly role: string;
  readonly synchronousCommit: string;
}

const tables = ['record', 'store', 'step', 'outbox', 'outbox_pause'];
const functions = [
  'claim',
  'complete',
  'claim_lease',
  'complete_lease',
  'record_step',
  'release_lease',
  'add_event',
];

export type Statements = ReturnType<typeof statementsFor>;

/** Pinned, because a session default of REPEATABLE READ would make the record statement raise 40001. */
export const BEGIN = 'begin isolation level read committed read write';
export const COMMIT = 'commit';
export const ROLLBACK = 'rollback';

/** Whether the transaction of an attempt is still the one that its claim began. */
export const MARKER = `select pg_catalog.current_setting('idempotency.attempt', true) as attempt`;

/** What became of a transaction, by its number. */
export function transactionStatus(xid: string): string {
  return `select pg_catalog.pg_xact_status(${literal(xid)}::xid8) as status`;
}

/**
 * Undoes what a resolver set locally, so that the record statement runs under the claim's own role and within
 * a time of its own. Statements of their own, because Postgres checks the right to call a function before it
 * calls it.
 */
export function restoreSettings({ authorization, role }: ClaimSettings, timeoutMs: number): string {
  const statements = [
    // The authorization first, because it resets the role.
    `set local session authorization ${literal(authorization)}`,
    `set local role ${literal(role)}`,
    `set local statement_timeout = ${literal(timeoutMs)}`,
  ];
  return statements.join('; ');
}

export function statementsFor(schemaName: string) {
  const schema = quoteIdentifier(schemaName);
  const list = (values: readonly (string | number | Buffer)[]): string => values.map(literal).join(', ');

  return Object.freeze({
    claim: (claim: {
      readonly identity: Buffer;
      readonly attempt: string;
      readonly timeoutMs: number;
      readonly connectionCheckMs: number;
    }): string =>
      `select * from ${schema}.claim(${list([
        claim.identity,
        lockOf(claim.identity),
        claim.attempt,
        claim.timeoutMs,
        claim.connectionCheckMs,
      ])})`,

    complete: (
      attempt: string,
      record: NewRecord,
      session: { readonly lockTimeoutMs: number; readonly synchronousCommit: string },
    ): string =>
      `select * from ${schema}.complete(${list([
        attempt,
        session.lockTimeoutMs,
        session.synchronousCommit,
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
      ])})`,

    /** Which database this connection reaches, and what is installed there. */
    inspect: `select
        pg_is_in_recovery() as in_recovery,
        current_setting('server_version_num')::integer as server_version,
        (select max(m.version) from ${schema}.migration as m) as migration,
        (select string_agg(c.relname, ', ') from pg_catalog.pg_class as c
          where c.oid in (${tables.map((name) => `${literal(`${schema}.${name}`)}::regclass`).join(', ')})
            and c.relpersistence <> 'p') as unlogged,
        array[${functions.map((name) => `${literal(`${schema}.${name}`)}::regproc`).join(', ')}] as functions,
        s.store_id::text as store_id,
        encode(s.envelope_secret, 'hex') as envelope_secret,
        (select k.system_identifier::text from pg_control_system() as k) as system_identifier,
        case when pg_is_in_recovery() then null
          else substring(pg_walfile_name(pg_current_wal_insert_lsn()) from 1 for 8) end as timeline,
        (select d.oid::text from pg_catalog.pg_database as d where d.datname = current_database()) as database_oid,
        extract(epoch from clock_timestamp())::double precision * 1000 as clock_ms
      from ${schema}.store as s`,

    /** Bodies go when their record expires. SKIP LOCKED: sweepers of several processes share the work. */
    strip: (batchSize: number): string => `with due as (
          select r.identity from ${schema}.record as r
          where r.sweep_after < (select clock_timestamp()) and r.takeover_after > (select clock_timestamp())
          order by r.sweep_after limit ${literal(batchSize)} for update skip locked
        )
        update ${schema}.record as r set body = null, sweep_after = r.takeover_after
        from due where r.identity = due.identity`,

    /** Rows go when their key may be executed anew: a retry finds no row either way. */
    remove: (batchSize: number): string => `with due as (
          select r.identity from ${schema}.record as r
          where r.sweep_after < (select clock_timestamp()) and r.takeover_after <= (select clock_timestamp())
          order by r.sweep_after limit ${literal(batchSize)} for update skip locked
        )
        delete from ${schema}.record as r using due where r.identity = due.identity`,
  });
}

/** The first 64 bits of the identity: two identities that share them cost each other a false 409, never more. */
export function lockOf(identity: Buffer): string {
  return String(identity.readBigInt64BE(0));
}
