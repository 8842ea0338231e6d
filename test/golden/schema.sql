-- relations: name, kind, persistence, row security
inbox_failure r p f
inbox_failure_dead_idx i p f
inbox_failure_last_idx i p f
inbox_failure_pkey i p f
inbox_failure_position_key i p f
inbox_failure_position_seq S p f
migration r p f
migration_pkey i p f
outbox r p f
outbox_available_at_idx i p f
outbox_dead_idx i p f
outbox_event_id_key i p f
outbox_ordering_key_idx i p f
outbox_pause r p f
outbox_pause_pkey i p f
outbox_pkey i p f
outbox_position_seq S p f
record r p f
record_pkey i p f
record_sweep_after_idx i p f
record_unfinished_idx i p f
step r p f
step_pkey i p f
store r p f
store_pkey i p f

-- types
record_mode enum ('transaction', 'lease')
record_outcome enum ('result', 'error', 'omitted')
record_state enum ('pending', 'completed', 'unknown')

-- domains
sha256 bytea CHECK ((octet_length(VALUE) = 32))

-- columns, in their order
inbox_failure."position" bigint not null
inbox_failure.first_at timestamp with time zone not null default clock_timestamp()
inbox_failure.last_at timestamp with time zone not null default clock_timestamp()
inbox_failure.dead_at timestamp with time zone
inbox_failure.started integer not null
inbox_failure.finished integer not null
inbox_failure.codec_version smallint not null
inbox_failure.identity graphql_idempotency.sha256 not null
inbox_failure.fingerprint graphql_idempotency.sha256
inbox_failure.namespace text not null
inbox_failure.consumer text not null
inbox_failure.message_id text not null
inbox_failure.last_error text
inbox_failure.message bytea not null
migration.version integer not null
migration.name text not null
migration.applied_at timestamp with time zone not null default clock_timestamp()
outbox."position" bigint not null
outbox.created_at timestamp with time zone not null default clock_timestamp()
outbox.available_at timestamp with time zone not null default clock_timestamp()
outbox.dead_at timestamp with time zone
outbox.event_id uuid not null
outbox.claim uuid
outbox.started integer not null default 0
outbox.finished integer not null default 0
outbox.namespace text not null
outbox.topic text not null
outbox.ordering_key text
outbox.headers text not null
outbox.last_error text
outbox.payload bytea not null
outbox_pause.paused_at timestamp with time zone not null default clock_timestamp()
outbox_pause.namespace text not null
outbox_pause.topic text not null
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
record.ttl_ms bigint
record.tombstone_ttl_ms bigint
record.abandoned_at timestamp with time zone
record.namespace text not null default ''::text
step.completed_at timestamp with time zone not null
step.fence bigint not null
step.attempt integer not null
step.codec_version smallint not null
step.outcome graphql_idempotency.record_outcome not null
step.identity graphql_idempotency.sha256 not null
step.name text not null
step.body bytea
store.singleton boolean not null default true
store.store_id uuid not null default gen_random_uuid()
store.envelope_secret bytea not null default sha256(((uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) || uuid_send(gen_random_uuid())))
store.created_at timestamp with time zone not null default clock_timestamp()

-- constraints
inbox_failure.inbox_failure_counts_agree CHECK (((started >= finished) AND (finished >= 0)))
inbox_failure.inbox_failure_pkey PRIMARY KEY (identity)
inbox_failure.inbox_failure_position_key UNIQUE ("position")
migration.migration_pkey PRIMARY KEY (version)
outbox.outbox_event_id_key UNIQUE (event_id)
outbox.outbox_is_in_one_state CHECK (((started >= finished) AND (finished >= 0) AND ((claim IS NULL) OR (available_at < 'infinity'::timestamp with time zone)) AND ((dead_at IS NULL) OR ((claim IS NULL) AND (available_at = 'infinity'::timestamp with time zone)))))
outbox.outbox_pkey PRIMARY KEY ("position")
outbox_pause.outbox_pause_pkey PRIMARY KEY (namespace, topic)
record.record_is_completed_or_leased CHECK ((
CASE state
    WHEN 'completed'::graphql_idempotency.record_state THEN ((num_nulls(outcome, codec_version, completed_at) = 0) AND (takeover_after >= expires_at))
    ELSE ((mode = 'lease'::graphql_idempotency.record_mode) AND (num_nulls(fence, lease_until, ttl_ms, tombstone_ttl_ms) = 0) AND ((state = 'pending'::graphql_idempotency.record_state) OR (abandoned_at IS NOT NULL)) AND (num_nonnulls(outcome, body, completed_at, expires_at, takeover_after, sweep_after) = 0))
END IS TRUE))
record.record_pkey PRIMARY KEY (identity)
step.step_body_is_there_or_omitted CHECK (((body IS NULL) = (outcome = 'omitted'::graphql_idempotency.record_outcome)))
step.step_pkey PRIMARY KEY (identity, name)
step.step_record_fkey FOREIGN KEY (identity) REFERENCES graphql_idempotency.record(identity) ON DELETE CASCADE
store.store_is_one_row CHECK (singleton)
store.store_pkey PRIMARY KEY (singleton)

-- indexes
CREATE INDEX inbox_failure_dead_idx ON graphql_idempotency.inbox_failure USING btree (namespace, consumer, "position") WHERE (dead_at IS NOT NULL)
CREATE INDEX inbox_failure_last_idx ON graphql_idempotency.inbox_failure USING btree (namespace, last_at) WHERE (dead_at IS NULL)
CREATE UNIQUE INDEX inbox_failure_pkey ON graphql_idempotency.inbox_failure USING btree (identity)
CREATE UNIQUE INDEX inbox_failure_position_key ON graphql_idempotency.inbox_failure USING btree ("position")
CREATE UNIQUE INDEX migration_pkey ON graphql_idempotency.migration USING btree (version)
CREATE INDEX outbox_available_at_idx ON graphql_idempotency.outbox USING btree (namespace, available_at, "position")
CREATE INDEX outbox_dead_idx ON graphql_idempotency.outbox USING btree (namespace, "position") WHERE (dead_at IS NOT NULL)
CREATE UNIQUE INDEX outbox_event_id_key ON graphql_idempotency.outbox USING btree (event_id)
CREATE INDEX outbox_ordering_key_idx ON graphql_idempotency.outbox USING btree (namespace, ordering_key, "position") WHERE (ordering_key IS NOT NULL)
CREATE UNIQUE INDEX outbox_pause_pkey ON graphql_idempotency.outbox_pause USING btree (namespace, topic)
CREATE UNIQUE INDEX outbox_pkey ON graphql_idempotency.outbox USING btree ("position")
CREATE UNIQUE INDEX record_pkey ON graphql_idempotency.record USING btree (identity)
CREATE INDEX record_sweep_after_idx ON graphql_idempotency.record USING btree (sweep_after)
CREATE INDEX record_unfinished_idx ON graphql_idempotency.record USING btree (coordinate) WHERE (state <> 'completed'::graphql_idempotency.record_state)
CREATE UNIQUE INDEX step_pkey ON graphql_idempotency.step USING btree (identity, name)
CREATE UNIQUE INDEX store_pkey ON graphql_idempotency.store USING btree (singleton)

-- triggers and rules
record record_forgets_failures

-- views

-- functions
CREATE OR REPLACE FUNCTION graphql_idempotency.add_event(p_attempt text, p_event_id uuid, p_namespace text, p_topic text, p_ordering_key text, p_headers text, p_payload bytea)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
begin
  if current_setting('idempotency.attempt', true) is distinct from p_attempt then
    return false;
  end if;
  insert into graphql_idempotency.outbox (event_id, namespace, topic, ordering_key, headers, payload)
  values (p_event_id, p_namespace, p_topic, p_ordering_key, p_headers, p_payload);
  return true;
end
$function$;
CREATE OR REPLACE FUNCTION graphql_idempotency.claim(p_identity bytea, p_lock bigint, p_attempt text, p_timeout_ms integer, p_connection_check_ms integer, OUT granted boolean, OUT in_recovery boolean, OUT claim_role text, OUT claim_authorization text, OUT claim_synchronous_commit text, OUT clock_ms double precision, OUT existing json)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'graphql_idempotency', 'pg_temp'
 SET enable_seqscan TO 'off'
AS $function$
declare
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
  select sighting(r) into existing from record as r where r.identity = p_identity;
  clock_ms := extract(epoch from clock_timestamp()) * 1000;
end
$function$;
CREATE OR REPLACE FUNCTION graphql_idempotency.claim_lease(p_identity bytea, p_lock bigint, p_fence bigint, p_lease_ms double precision, p_lock_timeout_ms integer, p_scope_hash bytea, p_namespace text, p_coordinate text, p_fingerprint_version smallint, p_fingerprint bytea, p_ttl_ms bigint, p_tombstone_ttl_ms bigint, OUT granted boolean, OUT clock_ms double precision, OUT existing json)
 RETURNS record
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
declare
  moment timestamptz;
  ignored text;
begin
  -- A standby may be behind, and finding a row there takes no write that it would refuse: a key could replay, or
  -- be in progress, by a row that the primary no longer has.
  if pg_is_in_recovery() then
    raise exception using errcode = 'read_only_sql_transaction', message = 'leases are claimed on the primary only';
  end if;
  ignored := set_config('lock_timeout', p_lock_timeout_ms::text, true);
  -- A claim that a crash of Postgres may forget would let the effect behind it happen twice.
  if current_setting('synchronous_commit') = 'off' then
    ignored := set_config('synchronous_commit', 'on', true);
  end if;
  granted := false;
  -- An attempt of transaction mode holds this lock and has no row yet. A claim beside it would only make it
  -- fail at the end. And looked for first, because the insert waits for whoever writes the row that it finds, and
  -- its update locks it: a replay must neither wait, nor write, which a full disk or a missing standby would
  -- keep it from.
  if pg_try_advisory_xact_lock(p_lock) and not exists (
    select from graphql_idempotency.record as r where r.identity = p_identity
      and not (r.state = 'completed' and r.takeover_after <= clock_timestamp())
      and not (r.state = 'pending' and r.fence = p_fence)
  ) then
    moment := clock_timestamp();
    insert into graphql_idempotency.record as r (
      lease_until, fence, mode, state, fingerprint_version,
      identity, scope_hash, fingerprint, namespace, coordinate, ttl_ms, tombstone_ttl_ms
    )
    values (
      moment + p_lease_ms * interval '1 millisecond', p_fence, 'lease', 'pending', p_fingerprint_version,
      p_identity, p_scope_hash, p_fingerprint, p_namespace, p_coordinate, p_ttl_ms, p_tombstone_ttl_ms
    )
    on conflict on constraint record_pkey do update set
      completed_at = null,
      expires_at = null,
      takeover_after = null,
      sweep_after = null,
      lease_until = excluded.lease_until,
      fence = excluded.fence,
      mode = excluded.mode,
      state = excluded.state,
      outcome = null,
      attempt = 1,
      fingerprint_version = excluded.fingerprint_version,
      codec_version = null,
      scope_hash = excluded.scope_hash,
      fingerprint = excluded.fingerprint,
      namespace = excluded.namespace,
      coordinate = excluded.coordinate,
      encryption_key_id = null,
      body = null,
      ttl_ms = excluded.ttl_ms,
      tombstone_ttl_ms = excluded.tombstone_ttl_ms,
      abandoned_at = null
    where (r.state = 'completed' and r.takeover_after <= clock_timestamp())
      or (r.state = 'pending' and r.fence = excluded.fence);
    granted := found;
  end if;
  if not granted then
    select graphql_idempotency.sighting(r) into existing from graphql_idempotency.record as r where r.identity = p_identity;
  end if;
  clock_ms := extract(epoch from coalesce(moment, clock_timestamp())) * 1000;
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
CREATE OR REPLACE FUNCTION graphql_idempotency.complete_lease(p_identity bytea, p_fence bigint, p_lock_timeout_ms integer, p_outcome text, p_codec_version smallint, p_body bytea, p_has_steps boolean, OUT completed_ms double precision, OUT expires_ms double precision, OUT takeover_ms double precision)
 RETURNS record
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
declare
  moment constant timestamptz := clock_timestamp();
  ignored text;
begin
  -- A snapshot from before the wait for a step's commit would leave that step behind in the journal.
  if p_has_steps and current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = '40001', message = 'a lease with steps is completed at READ COMMITTED only';
  end if;
  ignored := set_config('lock_timeout', p_lock_timeout_ms::text, true);
  if current_setting('synchronous_commit') = 'off' then
    ignored := set_config('synchronous_commit', 'on', true);
  end if;
  update graphql_idempotency.record as r set
    completed_at = moment,
    expires_at = moment + r.ttl_ms * interval '1 millisecond',
    takeover_after = moment + (r.ttl_ms + r.tombstone_ttl_ms) * interval '1 millisecond',
    sweep_after = moment + r.ttl_ms * interval '1 millisecond',
    lease_until = null,
    state = 'completed',
    outcome = p_outcome::graphql_idempotency.record_outcome,
    codec_version = p_codec_version,
    body = p_body,
    ttl_ms = null,
    tombstone_ttl_ms = null,
    abandoned_at = null
  where r.identity = p_identity and r.fence = p_fence and r.state = 'pending'
  returning extract(epoch from r.completed_at) * 1000, extract(epoch from r.expires_at) * 1000,
    extract(epoch from r.takeover_after) * 1000
  into completed_ms, expires_ms, takeover_ms;
  if found then
    if p_has_steps then
      delete from graphql_idempotency.step as s where s.identity = p_identity;
    end if;
    return;
  end if;
  select extract(epoch from r.completed_at) * 1000, extract(epoch from r.expires_at) * 1000,
    extract(epoch from r.takeover_after) * 1000
  into completed_ms, expires_ms, takeover_ms
  from graphql_idempotency.record as r
  where r.identity = p_identity and r.fence = p_fence and r.state = 'completed';
end
$function$;
CREATE OR REPLACE FUNCTION graphql_idempotency.forget_failures()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  -- Not the dead letter of another message that shares the id: nobody has handled that one.
  delete from graphql_idempotency.inbox_failure as f
  where f.identity = new.identity and (f.dead_at is null or f.fingerprint = new.fingerprint);
  return null;
end
$function$;
CREATE OR REPLACE FUNCTION graphql_idempotency.record_step(p_attempt_marker text, p_identity bytea, p_fence bigint, p_lock_timeout_ms integer, p_name text, p_attempt integer, p_outcome text, p_codec_version smallint, p_body bytea, OUT fresh boolean)
 RETURNS boolean
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
declare
  held boolean;
  ignored text;
begin
  -- As in the record statement: a missing marker says that somebody ended the step's transaction underneath.
  if p_attempt_marker <> '' and current_setting('idempotency.attempt', true) is distinct from p_attempt_marker then
    raise exception using errcode = 'GI002', message = 'the transaction of this step has ended';
  end if;
  ignored := set_config('lock_timeout', p_lock_timeout_ms::text, true);
  if current_setting('synchronous_commit') = 'off' then
    ignored := set_config('synchronous_commit', 'on', true);
  end if;
  -- Locked until the commit: a takeover that came between this look and the commit would read a journal in
  -- which this step is missing, and run it again.
  select true into held from graphql_idempotency.record as r
    where r.identity = p_identity and r.fence = p_fence and r.state = 'pending'
    for share;
  if held is null then
    raise exception using errcode = 'GI003', message = 'the lease of this attempt is lost';
  end if;
  insert into graphql_idempotency.step as s (completed_at, fence, attempt, codec_version, outcome, identity, name, body)
  values (clock_timestamp(), p_fence, p_attempt, p_codec_version, p_outcome::graphql_idempotency.record_outcome, p_identity, p_name, p_body)
  on conflict on constraint step_pkey do nothing;
  fresh := found;
  -- What is there may be this attempt's own, sent before and not answered.
  if not fresh and not exists (
    select from graphql_idempotency.step as s where s.identity = p_identity and s.name = p_name and s.fence = p_fence
  ) then
    raise exception using errcode = 'GI004', message = 'another attempt has recorded this step';
  end if;
end
$function$;
CREATE OR REPLACE FUNCTION graphql_idempotency.release_lease(p_identity bytea, p_fence bigint, p_lock_timeout_ms integer, p_settled boolean, OUT released boolean)
 RETURNS boolean
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
declare
  ignored text;
begin
  ignored := set_config('lock_timeout', p_lock_timeout_ms::text, true);
  -- Locked by a statement of its own, and the journal read by the next: a look that began before this wait
  -- would miss the step whose commit it waited for, and delete its entry with the row. With one snapshot for
  -- the whole transaction every look is such a look; what is refused here is sent again at READ COMMITTED.
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = '40001', message = 'a lease is released at READ COMMITTED only';
  end if;
  perform from graphql_idempotency.record as r
    where r.identity = p_identity and r.fence = p_fence and r.state = 'pending'
    for update;
  delete from graphql_idempotency.record as r
    where r.identity = p_identity and r.fence = p_fence and r.state = 'pending'
      and (p_settled or r.attempt = 1 and not exists (select from graphql_idempotency.step as s where s.identity = p_identity));
  if found then
    released := true;
    return;
  end if;
  update graphql_idempotency.record as r set
    state = 'unknown',
    abandoned_at = coalesce(r.abandoned_at, clock_timestamp())
  where r.identity = p_identity and r.fence = p_fence and r.state = 'pending';
  if found then
    released := false;
  end if;
end
$function$;
CREATE OR REPLACE FUNCTION graphql_idempotency.sighting(r graphql_idempotency.record)
 RETURNS json
 LANGUAGE sql
 STABLE
AS $function$
  select json_build_object(
    'state', r.state,
    'outcome', r.outcome,
    'fence', r.fence::text,
    'attempt', r.attempt,
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
$function$;

-- comments
column abandoned_at of table graphql_idempotency.record: Lease mode: since when nobody is at work, where that is not the end of the lease.
column attempt of table graphql_idempotency.step: Which attempt recorded it.
column available_at of table graphql_idempotency.outbox: From when a relay may take it: past, it is ready; future, it is claimed or waits for its next try; infinity, it is parked or dead.
column body of table graphql_idempotency.record: The encoded result or error; null once it was swept, erased or omitted.
column body of table graphql_idempotency.step: The encoded result or error; null where it could not be stored.
column claim of table graphql_idempotency.outbox: The token of the relay that took it last; its writes must match.
column dead_at of table graphql_idempotency.inbox_failure: Since when it is a dead letter: the consumer has told the broker that it is done with it.
column dead_at of table graphql_idempotency.outbox: Since when it is a dead letter, which no relay takes by itself.
column envelope_secret of table graphql_idempotency.store: Key of the HMAC over the envelopes in Redis.
column event_id of table graphql_idempotency.outbox: What consumers know it by: derived from the call, its retention period and the place of the event in it.
column expires_at of table graphql_idempotency.record: Until when the record replays.
column fence of table graphql_idempotency.record: Lease mode: the token that every write of an attempt must match.
column fence of table graphql_idempotency.step: The fence of the attempt that recorded it.
column fingerprint of table graphql_idempotency.inbox_failure: SHA-256 over the payload, by which messages that share an id are told apart; null where it has none.
column fingerprint of table graphql_idempotency.record: SHA-256 over the guarded field and its arguments, by the rules of fingerprint_version.
column finished of table graphql_idempotency.inbox_failure: How often that ended with an error. Those that never ended took their consumer with them.
column finished of table graphql_idempotency.outbox: How often that ended with an error. Those that never ended took their relay with them.
column headers of table graphql_idempotency.outbox: A JSON object of texts.
column identity of table graphql_idempotency.inbox_failure: The hash of namespace, consumer and message id: the primary key of its record, once it has one.
column identity of table graphql_idempotency.record: SHA-256 over namespace, scope and key. The primary key decides who commits.
column lease_until of table graphql_idempotency.record: Lease mode: until when the claim lives without renewal.
column message of table graphql_idempotency.inbox_failure: Topic, key, headers and payload, encoded like a result.
column namespace of table graphql_idempotency.inbox_failure: Whose consumer this is, among services that share the schema.
column namespace of table graphql_idempotency.outbox: Whose event this is, among services that share the schema. Relays of others do not publish it.
column namespace of table graphql_idempotency.record: Lease mode: whose record this is, among services that share the schema. Others must not settle it.
column ordering_key of table graphql_idempotency.outbox: Events of one key are published one after the other, in the order of their positions, of those that are committed by then.
column position of table graphql_idempotency.inbox_failure: In the order of their first failures.
column position of table graphql_idempotency.outbox: In the order of adding. Says nothing about the order of commits: never a cursor.
column scope_hash of table graphql_idempotency.record: SHA-256 over namespace and scope: whose rows these are, for erasure.
column started of table graphql_idempotency.inbox_failure: How often handling it was begun, as far as that was noted.
column started of table graphql_idempotency.outbox: How often a relay took it to publish it.
column sweep_after of table graphql_idempotency.record: When the sweeper has work here next: first the body, then the row.
column takeover_after of table graphql_idempotency.record: From when the key may be executed anew. Not before expires_at.
column tombstone_ttl_ms of table graphql_idempotency.record: Lease mode, until it completes: how long its key will answer KEY_EXPIRED after that, in milliseconds.
column ttl_ms of table graphql_idempotency.record: Lease mode, until it completes: how long the record will replay, in milliseconds.
function graphql_idempotency.add_event(text,uuid,text,text,text,text,bytea): Inserts an event in the transaction of the attempt; false: that was ended, and nothing is inserted.
function graphql_idempotency.claim(bytea,bigint,text,integer,integer): Begins an attempt inside the transaction just begun, and reads the record.
function graphql_idempotency.claim_lease(bytea,bigint,bigint,double precision,integer,bytea,text,text,smallint,bytea,bigint,bigint): Claims an identity until the lease ends, where it is new or vacant; else returns its record.
function graphql_idempotency.complete(text,integer,text,bytea,bytea,text,smallint,bytea,text,smallint,bytea,double precision,double precision): Inserts the completed record, or takes an expired one over; raises when neither is possible. Says when it completed, in milliseconds, and whether the transaction had written anything before.
function graphql_idempotency.complete_lease(bytea,bigint,integer,text,smallint,bytea,boolean): Completes the record of whoever holds the fence, and removes the journal; returns nulls where the lease is lost.
function graphql_idempotency.forget_failures(): Removes what was noted of a message that is handled now.
function graphql_idempotency.record_step(text,bytea,bigint,integer,text,integer,text,smallint,bytea): Journals a step of whoever holds the fence; raises where the lease is lost. fresh: it was not there before.
function graphql_idempotency.release_lease(bytea,bigint,integer,boolean): Deletes the record of whoever holds the fence, so that the key is new; false: its outcome stays unknown; null: the lease is lost.
function graphql_idempotency.sighting(graphql_idempotency.record): What a claim reads of a record.
table graphql_idempotency.inbox_failure: Messages whose handling has failed. A row goes when its message was handled, is discarded, or has not come for inboxTtl.
table graphql_idempotency.migration: Which migrations this schema has. A released migration never changes.
table graphql_idempotency.outbox: Events that are to be published. A row goes when its event was published, or is discarded.
table graphql_idempotency.outbox_pause: Topics whose events no relay publishes for now. The empty topic: all of them.
table graphql_idempotency.record: One row per identity: what was asked, and the first answer.
table graphql_idempotency.step: The journal of an attempt that has not completed: which of its steps are done, and with what result.
table graphql_idempotency.store: What tells this store from every other, and signs what leaves it for the fast tier.
