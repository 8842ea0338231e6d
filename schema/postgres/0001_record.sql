-- The records of graphql-idempotency. By hand, with the schema as a variable:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -v schema=graphql_idempotency -f 0001_record.sql

create schema if not exists :"schema";

create table :"schema".migration (
  version integer not null,
  name text not null,
  applied_at timestamptz not null default clock_timestamp(),
  constraint migration_pkey primary key (version)
);
comment on table :"schema".migration is 'Which migrations this schema has. A released migration never changes.';

create table :"schema".store (
  singleton boolean not null default true,
  store_id uuid not null default gen_random_uuid(),
  envelope_secret bytea not null default sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
  ),
  created_at timestamptz not null default clock_timestamp(),
  constraint store_pkey primary key (singleton),
  constraint store_is_one_row check (singleton)
);
comment on table :"schema".store is 'What tells this store from every other, and signs what leaves it for the fast tier.';
comment on column :"schema".store.envelope_secret is 'Key of the HMAC over the envelopes in Redis.';

insert into :"schema".store default values;

create type :"schema".record_mode as enum ('transaction', 'lease');
create type :"schema".record_state as enum ('pending', 'completed', 'unknown');
create type :"schema".record_outcome as enum ('result', 'error', 'omitted');

-- A domain, because Postgres keeps a domain's check ready, but plans a table's anew for every insert.
create domain :"schema".sha256 as bytea constraint sha256_length check (octet_length(value) = 32);

-- Fixed-width columns first: no padding between them.
create table :"schema".record (
  completed_at timestamptz,
  expires_at timestamptz,
  takeover_after timestamptz,
  sweep_after timestamptz,
  lease_until timestamptz,
  fence bigint,
  mode :"schema".record_mode not null,
  state :"schema".record_state not null,
  outcome :"schema".record_outcome,
  attempt integer not null default 1,
  fingerprint_version smallint not null,
  codec_version smallint,
  identity :"schema".sha256 not null,
  scope_hash :"schema".sha256 not null,
  fingerprint :"schema".sha256 not null,
  coordinate text not null,
  encryption_key_id text,
  body bytea,
  constraint record_pkey primary key (identity),
  constraint record_is_completed_or_leased check (
    case state
      when 'completed' then
        num_nulls(outcome, codec_version, completed_at) = 0 and takeover_after >= expires_at
      else
        mode = 'lease' and fence is not null and (state = 'unknown' or lease_until is not null)
        and num_nonnulls(outcome, body, completed_at, expires_at, takeover_after, sweep_after) = 0
    end is true
  )
);
comment on table :"schema".record is 'One row per identity: what was asked, and the first answer.';
comment on column :"schema".record.identity is 'SHA-256 over namespace, scope and key. The primary key decides who commits.';
comment on column :"schema".record.scope_hash is 'SHA-256 over namespace and scope: whose rows these are, for erasure.';
comment on column :"schema".record.fingerprint is 'SHA-256 over the guarded field and its arguments, by the rules of fingerprint_version.';
comment on column :"schema".record.fence is 'Lease mode: the token that every write of an attempt must match.';
comment on column :"schema".record.lease_until is 'Lease mode: until when the claim lives without renewal.';
comment on column :"schema".record.body is 'The encoded result or error; null once it was swept, erased or omitted.';
comment on column :"schema".record.expires_at is 'Until when the record replays.';
comment on column :"schema".record.takeover_after is 'From when the key may be executed anew. Not before expires_at.';
comment on column :"schema".record.sweep_after is 'When the sweeper has work here next: first the body, then the row.';

create index record_sweep_after_idx on :"schema".record (sweep_after);

-- The claim's second half: settings for this transaction, the courtesy lock, and the row as it is now.
-- A volatile function reads with a new snapshot for each of its statements, so the row that it returns is
-- no older than the lock. Were it one snapshot, a holder that commits between snapshot and lock would be
-- missed, and the effect executed only to be rolled back at the record statement.
create function :"schema".claim(
  p_identity bytea,
  p_lock bigint,
  p_attempt text,
  p_timeout_ms integer,
  p_connection_check_ms integer,
  out granted boolean,
  out in_recovery boolean,
  out claim_role text,
  out claim_authorization text,
  out claim_synchronous_commit text,
  out clock_ms double precision,
  out existing json
)
language plpgsql
volatile
set search_path = pg_catalog, :"schema", pg_temp
-- Sessions keep the plan that they made while the table was small: without this, one that scans it.
set enable_seqscan = off
as $$
declare
  -- Assigned, not performed: an assignment is an expression, PERFORM a query of its own.
  ignored text;
begin
  ignored := set_config('idempotency.attempt', p_attempt, true);
  if p_timeout_ms > 0 then
    if current_setting('server_version_num')::integer >= 170000 then
      ignored := set_config('transaction_timeout', p_timeout_ms::text, true);
    else
      ignored := set_config('statement_timeout', p_timeout_ms::text, true);
      ignored := set_config('idle_in_transaction_session_timeout', p_timeout_ms::text, true);
    end if;
  end if;
  if p_connection_check_ms > 0 then
    ignored := set_config('client_connection_check_interval', p_connection_check_ms::text, true);
  end if;

  granted := pg_try_advisory_xact_lock(p_lock);
  in_recovery := pg_is_in_recovery();
  claim_role := current_setting('role');
  claim_authorization := session_user;
  claim_synchronous_commit := current_setting('synchronous_commit');
  -- One column that is null for a new identity: columns for every field would cost each claim as much as
  -- all the rest of it.
  select json_build_object(
      'state', r.state,
      'outcome', r.outcome,
      'leaseUntilMs', extract(epoch from r.lease_until) * 1000,
      'completedMs', extract(epoch from r.completed_at) * 1000,
      'expiresMs', extract(epoch from r.expires_at) * 1000,
      'takeoverMs', extract(epoch from r.takeover_after) * 1000,
      'fingerprintVersion', r.fingerprint_version,
      'fingerprint', encode(r.fingerprint, 'hex'),
      'codecVersion', r.codec_version,
      'encryptionKeyId', r.encryption_key_id,
      'body', encode(r.body, 'hex')
    )
    into existing
    from record as r
    where r.identity = p_identity;
  clock_ms := extract(epoch from clock_timestamp()) * 1000;
end
$$;
comment on function :"schema".claim is 'Begins an attempt inside the transaction just begun, and reads the record.';

-- The record statement. It raises when it wrote no row: where it travels together with COMMIT, a statement
-- that writes nothing without raising would let that COMMIT publish a second effect.
create function :"schema".complete(
  p_attempt text,
  p_lock_timeout_ms integer,
  p_synchronous_commit text,
  p_identity bytea,
  p_scope_hash bytea,
  p_coordinate text,
  p_fingerprint_version smallint,
  p_fingerprint bytea,
  p_outcome text,
  p_codec_version smallint,
  p_body bytea,
  p_ttl_ms double precision,
  p_tombstone_ttl_ms double precision,
  out completed_ms double precision,
  out wrote boolean
)
language plpgsql
volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  moment constant timestamptz := clock_timestamp();
  expiry constant timestamptz := moment + p_ttl_ms * interval '1 millisecond';
  takeover constant timestamptz := expiry + p_tombstone_ttl_ms * interval '1 millisecond';
  ignored text;
begin
  -- The marker lives exactly as long as the claim's transaction. It is missing when somebody ended that
  -- transaction underneath: then this statement would commit alone, behind an effect that it cannot undo.
  if current_setting('idempotency.attempt', true) is distinct from p_attempt then
    raise exception using errcode = 'GI002', message = 'the transaction of this attempt has ended';
  end if;

  wrote := pg_current_xact_id_if_assigned() is not null;
  ignored := set_config('lock_timeout', p_lock_timeout_ms::text, true);
  if p_synchronous_commit <> '' and p_synchronous_commit <> current_setting('synchronous_commit') then
    ignored := set_config('synchronous_commit', p_synchronous_commit, true);
  end if;

  insert into record as r (
    completed_at, expires_at, takeover_after, sweep_after, mode, state, outcome,
    fingerprint_version, codec_version, identity, scope_hash, fingerprint, coordinate, body
  )
  values (
    moment, expiry, takeover, expiry, 'transaction', 'completed', p_outcome::record_outcome,
    p_fingerprint_version, p_codec_version, p_identity, p_scope_hash, p_fingerprint, p_coordinate, p_body
  )
  on conflict on constraint record_pkey do update set
    completed_at = excluded.completed_at,
    expires_at = excluded.expires_at,
    takeover_after = excluded.takeover_after,
    sweep_after = excluded.sweep_after,
    lease_until = null,
    fence = null,
    mode = excluded.mode,
    state = excluded.state,
    outcome = excluded.outcome,
    attempt = 1,
    fingerprint_version = excluded.fingerprint_version,
    codec_version = excluded.codec_version,
    scope_hash = excluded.scope_hash,
    fingerprint = excluded.fingerprint,
    coordinate = excluded.coordinate,
    encryption_key_id = null,
    body = excluded.body
  where r.state = 'completed' and r.takeover_after <= clock_timestamp();
  if not found then
    raise exception using errcode = 'GI001', message = 'another attempt has completed this identity';
  end if;
  completed_ms := extract(epoch from moment) * 1000;
end
$$;
comment on function :"schema".complete is
  'Inserts the completed record, or takes an expired one over; raises when neither is possible. Says when it completed, in milliseconds, and whether the transaction had written anything before.';

insert into :"schema".migration (version, name) values (1, '0001_record');
