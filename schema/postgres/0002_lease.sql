-- Lease mode: claims that live without a transaction, their journal of steps, and what became of abandoned ones.
-- By hand, with the schema as a variable:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -v schema=graphql_idempotency -f 0002_lease.sql

-- For the functions below: psql fills variables in nowhere inside of a quoted body.
select set_config('idempotency.schema', :'schema', true);

-- What a claim of lease mode fixes for whoever completes it, and since when nobody has been at work on it.
alter table :"schema".record
  add column ttl_ms bigint,
  add column tombstone_ttl_ms bigint,
  add column abandoned_at timestamptz,
  add column namespace text not null default '',
  drop constraint record_is_completed_or_leased,
  -- One constraint, because a table's are planned anew for every insert.
  add constraint record_is_completed_or_leased check (
    case state
      when 'completed' then
        num_nulls(outcome, codec_version, completed_at) = 0 and takeover_after >= expires_at
      else
        mode = 'lease' and num_nulls(fence, lease_until, ttl_ms, tombstone_ttl_ms) = 0
        and (state = 'pending' or abandoned_at is not null)
        and num_nonnulls(outcome, body, completed_at, expires_at, takeover_after, sweep_after) = 0
    end is true
  );
comment on column :"schema".record.ttl_ms is 'Lease mode, until it completes: how long the record will replay, in milliseconds.';
comment on column :"schema".record.tombstone_ttl_ms is 'Lease mode, until it completes: how long its key will answer KEY_EXPIRED after that, in milliseconds.';
comment on column :"schema".record.abandoned_at is 'Lease mode: since when nobody is at work, where that is not the end of the lease.';
comment on column :"schema".record.namespace is 'Lease mode: whose record this is, among services that share the schema. Others must not settle it.';

-- On a column that renewals leave alone, so that they touch no index.
create index record_unfinished_idx on :"schema".record (coordinate) where state <> 'completed';

create table :"schema".step (
  completed_at timestamptz not null,
  fence bigint not null,
  attempt integer not null,
  codec_version smallint not null,
  outcome :"schema".record_outcome not null,
  identity :"schema".sha256 not null,
  name text not null,
  body bytea,
  constraint step_pkey primary key (identity, name),
  constraint step_record_fkey foreign key (identity) references :"schema".record (identity) on delete cascade,
  constraint step_body_is_there_or_omitted check ((body is null) = (outcome = 'omitted'))
);
comment on table :"schema".step is 'The journal of an attempt that has not completed: which of its steps are done, and with what result.';
comment on column :"schema".step.fence is 'The fence of the attempt that recorded it.';
comment on column :"schema".step.attempt is 'Which attempt recorded it.';
comment on column :"schema".step.body is 'The encoded result or error; null where it could not be stored.';

-- A row as the library reads it: one column that is null for a new identity, because columns for every field
-- would cost each claim as much as all the rest of it. The fence is text: JSON has no 64-bit integers. A function
-- and not a view, because who may read the table may call it, with no further grant.
create function :"schema".sighting(r :"schema".record)
returns json
language sql
stable
as $$
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
$$;
comment on function :"schema".sighting is 'What a claim reads of a record.';

-- As before, but for how it reads the row.
create or replace function :"schema".claim(
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
set enable_seqscan = off
as $$
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
$$;

-- The functions below name everything by its schema instead of setting the search path: setting anything costs
-- each call about a quarter of the call itself. Where they look for rows, scans are off all the same: sessions
-- keep the plan that they made while the table was small, and without this, one that scans it.

-- Claims a lease, or says what stands in the way. Sent again by who got no answer, it is granted again.
do $define$ begin execute replace($definition$
create function {schema}.claim_lease(
  p_identity bytea,
  p_lock bigint,
  p_fence bigint,
  p_lease_ms double precision,
  p_lock_timeout_ms integer,
  p_scope_hash bytea,
  p_namespace text,
  p_coordinate text,
  p_fingerprint_version smallint,
  p_fingerprint bytea,
  p_ttl_ms bigint,
  p_tombstone_ttl_ms bigint,
  out granted boolean,
  out clock_ms double precision,
  out existing json
)
language plpgsql
volatile
set enable_seqscan = off
as $function$
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
    select from {schema}.record as r where r.identity = p_identity
      and not (r.state = 'completed' and r.takeover_after <= clock_timestamp())
      and not (r.state = 'pending' and r.fence = p_fence)
  ) then
    moment := clock_timestamp();
    insert into {schema}.record as r (
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
    select {schema}.sighting(r) into existing from {schema}.record as r where r.identity = p_identity;
  end if;
  clock_ms := extract(epoch from coalesce(moment, clock_timestamp())) * 1000;
end
$function$
$definition$, '{schema}', quote_ident(current_setting('idempotency.schema'))); end $define$;
comment on function :"schema".claim_lease is 'Claims an identity until the lease ends, where it is new or vacant; else returns its record.';

-- Completes what the fence still holds. Sent again by who got no answer, it finds its own record.
do $define$ begin execute replace($definition$
create function {schema}.complete_lease(
  p_identity bytea,
  p_fence bigint,
  p_lock_timeout_ms integer,
  p_outcome text,
  p_codec_version smallint,
  p_body bytea,
  p_has_steps boolean,
  out completed_ms double precision,
  out expires_ms double precision,
  out takeover_ms double precision
)
language plpgsql
volatile
set enable_seqscan = off
as $function$
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
  update {schema}.record as r set
    completed_at = moment,
    expires_at = moment + r.ttl_ms * interval '1 millisecond',
    takeover_after = moment + (r.ttl_ms + r.tombstone_ttl_ms) * interval '1 millisecond',
    sweep_after = moment + r.ttl_ms * interval '1 millisecond',
    lease_until = null,
    state = 'completed',
    outcome = p_outcome::{schema}.record_outcome,
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
      delete from {schema}.step as s where s.identity = p_identity;
    end if;
    return;
  end if;
  select extract(epoch from r.completed_at) * 1000, extract(epoch from r.expires_at) * 1000,
    extract(epoch from r.takeover_after) * 1000
  into completed_ms, expires_ms, takeover_ms
  from {schema}.record as r
  where r.identity = p_identity and r.fence = p_fence and r.state = 'completed';
end
$function$
$definition$, '{schema}', quote_ident(current_setting('idempotency.schema'))); end $define$;
comment on function :"schema".complete_lease is 'Completes the record of whoever holds the fence, and removes the journal; returns nulls where the lease is lost.';

-- Raises where the lease is lost: in a step with a transaction, COMMIT travels right behind it.
do $define$ begin execute replace($definition$
create function {schema}.record_step(
  p_attempt_marker text,
  p_identity bytea,
  p_fence bigint,
  p_lock_timeout_ms integer,
  p_name text,
  p_attempt integer,
  p_outcome text,
  p_codec_version smallint,
  p_body bytea,
  out fresh boolean
)
language plpgsql
volatile
set enable_seqscan = off
as $function$
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
  select true into held from {schema}.record as r
    where r.identity = p_identity and r.fence = p_fence and r.state = 'pending'
    for share;
  if held is null then
    raise exception using errcode = 'GI003', message = 'the lease of this attempt is lost';
  end if;
  insert into {schema}.step as s (completed_at, fence, attempt, codec_version, outcome, identity, name, body)
  values (clock_timestamp(), p_fence, p_attempt, p_codec_version, p_outcome::{schema}.record_outcome, p_identity, p_name, p_body)
  on conflict on constraint step_pkey do nothing;
  fresh := found;
  -- What is there may be this attempt's own, sent before and not answered.
  if not fresh and not exists (
    select from {schema}.step as s where s.identity = p_identity and s.name = p_name and s.fence = p_fence
  ) then
    raise exception using errcode = 'GI004', message = 'another attempt has recorded this step';
  end if;
end
$function$
$definition$, '{schema}', quote_ident(current_setting('idempotency.schema'))); end $define$;
comment on function :"schema".record_step is 'Journals a step of whoever holds the fence; raises where the lease is lost. fresh: it was not there before.';

-- Ends a claim of which nothing was done, so that a retry executes. An attempt that comes after another, or
-- has steps in its journal, cannot know that of all that came before: then the outcome stays unknown.
do $define$ begin execute replace($definition$
create function {schema}.release_lease(
  p_identity bytea,
  p_fence bigint,
  p_lock_timeout_ms integer,
  p_settled boolean,
  out released boolean
)
language plpgsql
volatile
set enable_seqscan = off
as $function$
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
  perform from {schema}.record as r
    where r.identity = p_identity and r.fence = p_fence and r.state = 'pending'
    for update;
  delete from {schema}.record as r
    where r.identity = p_identity and r.fence = p_fence and r.state = 'pending'
      and (p_settled or r.attempt = 1 and not exists (select from {schema}.step as s where s.identity = p_identity));
  if found then
    released := true;
    return;
  end if;
  update {schema}.record as r set
    state = 'unknown',
    abandoned_at = coalesce(r.abandoned_at, clock_timestamp())
  where r.identity = p_identity and r.fence = p_fence and r.state = 'pending';
  if found then
    released := false;
  end if;
end
$function$
$definition$, '{schema}', quote_ident(current_setting('idempotency.schema'))); end $define$;
comment on function :"schema".release_lease is 'Deletes the record of whoever holds the fence, so that the key is new; false: its outcome stays unknown; null: the lease is lost.';

insert into :"schema".migration (version, name) values (2, '0002_lease');
