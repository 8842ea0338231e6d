-- relations: name, kind, persistence, row security
migration r p f
migration_pkey i p f
record r p f
record_pkey i p f
record_sweep_after_idx i p f
store r p f
store_pkey i p f

-- types
record_mode enum ('transaction', 'lease')
record_outcome enum ('result', 'error', 'omitted')
record_state enum ('pending', 'completed', 'unknown')

-- domains
sha256 bytea CHECK ((octet_length(VALUE) = 32))

-- columns, in their order
migration.version integer not null
migration.name text not null
migration.applied_at timestamp with time zone not null default clock_timestamp()
record.completed_at timestamp with time zone
record.expires_at timestamp with time zone
record.takeover_after timestamp with time zone
record.sweep_after timestamp with time zone
record.lease_until timestamp with time zone
record.fence bigint
record.mode graphql_idempotency.record_mode not null
record.state graphql_idempotency.record_state not null
record.outcome graphql_idempotency.record_outcome
record.attempt integer not null default 1
record.fingerprint_version smallint not null
record.codec_version smallint
record.identity graphql_idempotency.sha256 not null
record.scope_hash graphql_idempotency.sha256 not null
record.fingerprint graphql_idempotency.sha256 not null
record.coordinate text not null
record.encryption_key_id text
record.body bytea
store.singleton boolean not null default true
store.store_id uuid not null default gen_random_uuid()
store.envelope_secret bytea not null default sha256(((uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) || uuid_send(gen_random_uuid())))
store.created_at timestamp with time zone not null default clock_timestamp()

-- constraints
migration.migration_pkey PRIMARY KEY (version)
record.record_is_completed_or_leased CHECK ((
CASE state
    WHEN 'completed'::graphql_idempotency.record_state THEN ((num_nulls(outcome, codec_version, completed_at) = 0) AND (takeover_after >= expires_at))
    ELSE ((mode = 'lease'::graphql_idempotency.record_mode) AND (fence IS NOT NULL) AND ((state = 'unknown'::graphql_idempotency.record_state) OR (lease_until IS NOT NULL)) AND (num_nonnulls(outcome, body, completed_at, expires_at, takeover_after, sweep_after) = 0))
END IS TRUE))
record.record_pkey PRIMARY KEY (identity)
store.store_is_one_row CHECK (singleton)
store.store_pkey PRIMARY KEY (singleton)

-- indexes
CREATE UNIQUE INDEX migration_pkey ON graphql_idempotency.migration USING btree (version)
CREATE UNIQUE INDEX record_pkey ON graphql_idempotency.record USING btree (identity)
CREATE INDEX record_sweep_after_idx ON graphql_idempotency.record USING btree (sweep_after)
CREATE UNIQUE INDEX store_pkey ON graphql_idempotency.store USING btree (singleton)

-- triggers and rules

-- functions
CREATE OR REPLACE FUNCTION graphql_idempotency.claim(p_identity bytea, p_lock bigint, p_attempt text, p_timeout_ms integer, p_connection_check_ms integer, OUT granted boolean, OUT in_recovery boolean, OUT claim_role text, OUT claim_authorization text, OUT claim_synchronous_commit text, OUT clock_ms double precision, OUT existing json)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'graphql_idempotency', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
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
$function$;
CREATE OR REPLACE FUNCTION graphql_idempotency.complete(p_attempt text, p_lock_timeout_ms integer, p_synchronous_commit text, p_identity bytea, p_scope_hash bytea, p_coordinate text, p_fingerprint_version smallint, p_fingerprint bytea, p_outcome text, p_codec_version smallint, p_body bytea, p_ttl_ms double precision, p_tombstone_ttl_ms double precision, OUT completed_ms double precision, OUT wrote boolean)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'graphql_idempotency', 'pg_temp'
AS $function$
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
$function$;

-- comments
column body of table graphql_idempotency.record: The encoded result or error; null once it was swept, erased or omitted.
column envelope_secret of table graphql_idempotency.store: Key of the HMAC over the envelopes in Redis.
column expires_at of table graphql_idempotency.record: Until when the record replays.
column fence of table graphql_idempotency.record: Lease mode: the token that every write of an attempt must match.
column fingerprint of table graphql_idempotency.record: SHA-256 over the guarded field and its arguments, by the rules of fingerprint_version.
column identity of table graphql_idempotency.record: SHA-256 over namespace, scope and key. The primary key decides who commits.
column lease_until of table graphql_idempotency.record: Lease mode: until when the claim lives without renewal.
column scope_hash of table graphql_idempotency.record: SHA-256 over namespace and scope: whose rows these are, for erasure.
column sweep_after of table graphql_idempotency.record: When the sweeper has work here next: first the body, then the row.
column takeover_after of table graphql_idempotency.record: From when the key may be executed anew. Not before expires_at.
function graphql_idempotency.claim(bytea,bigint,text,integer,integer): Begins an attempt inside the transaction just begun, and reads the record.
function graphql_idempotency.complete(text,integer,text,bytea,bytea,text,smallint,bytea,text,smallint,bytea,double precision,double precision): Inserts the completed record, or takes an expired one over; raises when neither is possible. Says when it completed, in milliseconds, and whether the transaction had written anything before.
table graphql_idempotency.migration: Which migrations this schema has. A released migration never changes.
table graphql_idempotency.record: One row per identity: what was asked, and the first answer.
table graphql_idempotency.store: What tells this store from every other, and signs what leaves it for the fast tier.
