/**
 * The statements of an attempt as they are sent through a library: each alone, without parameters, and answered
 * by one text, because libraries read types in ways of their own. No colon and no question mark in what is added
 * here: some would take them for the places of parameters.
 */

import { literal } from '../sql-literal.ts';
import type { ClaimSettings } from '../statements.ts';
import { quoteIdentifier } from '../quote-identifier.ts';

/** Whether this is still the claim's transaction, by its marker; and by its number, whether it has written. */
export const MARKER = asText(`select pg_catalog.current_setting('idempotency.attempt', true) as attempt,
    cast(pg_catalog.pg_current_xact_id_if_assigned() as text) as xid`);

/** The claim, together with what tells in which database and in what kind of transaction it was made. */
export function claimThrough(schemaName: string, claim: string): string {
  return asText(`select c.*,
      pg_catalog.current_setting('transaction_isolation') as isolation,
      pg_catalog.current_setting('transaction_read_only') as read_only,
      cast(s.store_id as text) as store_id,
      pg_catalog.encode(s.envelope_secret, 'hex') as envelope_secret,
      (select cast(k.system_identifier as text) from pg_catalog.pg_control_system() as k) as system_identifier,
      case when c.in_recovery then null
        else pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) end
        as timeline,
      (select cast(d.oid as text) from pg_catalog.pg_database as d
        where d.datname = pg_catalog.current_database()) as database_oid
    from (${claim}) as c cross join ${quoteIdentifier(schemaName)}.store as s`);
}

/**
 * Undoes what a resolver set locally, and says whether this is still the claim's transaction. Before the record
 * statement, not within it, because Postgres checks the right to call a function before it calls it.
 */
export function restoreThrough({ authorization, role }: ClaimSettings, timeoutMs: number): string {
  const set = (name: string, value: string | number): string =>
    `pg_catalog.set_config(${literal(name)}, ${literal(String(value))}, true)`;
  // Left to right: the authorization first, because it resets the role.
  return asText(`select pg_catalog.current_setting('idempotency.attempt', true) as attempt,
      ${set('session_authorization', authorization)} as set_authorization,
      ${set('role', role)} as set_role,
      ${set('statement_timeout', timeoutMs)} as set_timeout,
      ${set('extra_float_digits', 1)} as set_digits`);
}

/** Any statement that returns one row. */
export function asText(statement: string): string {
  return `select cast(pg_catalog.row_to_json(a) as text) as answer from (${statement}) as a`;
}
