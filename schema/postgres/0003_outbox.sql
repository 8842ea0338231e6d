-- The outbox: events that were committed together with what they tell of, until a relay has published them.
-- By hand, with the schema as a variable:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -v schema=graphql_idempotency -f 0003_outbox.sql

-- For the function below: psql fills variables in nowhere inside of a quoted body.
select set_config('idempotency.schema', :'schema', true);

-- Fixed-width columns first: no padding between them.
create table :"schema".outbox (
  position bigint not null generated always as identity,
  created_at timestamptz not null default clock_timestamp(),
  available_at timestamptz not null default clock_timestamp(),
  dead_at timestamptz,
  event_id uuid not null,
  claim uuid,
  started integer not null default 0,
  finished integer not null default 0,
  namespace text not null,
  topic text not null,
  ordering_key text,
  headers text not null,
  last_error text,
  payload bytea not null,
  constraint outbox_pkey primary key (position),
  constraint outbox_event_id_key unique (event_id),
  -- One constraint, because a table's are planned anew for every insert.
  constraint outbox_is_in_one_state check (
    started >= finished and finished >= 0
    and (claim is null or available_at < 'infinity')
    and (dead_at is null or claim is null and available_at = 'infinity')
  )
)
-- A queue's rows live for a moment: what is dead has to go by count, not by share of a table that is empty.
with (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_scale_factor = 0,
  autovacuum_vacuum_insert_threshold = 50000,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 50000,
  autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0,
  toast.autovacuum_vacuum_threshold = 5000,
  toast.autovacuum_vacuum_cost_delay = 0
);
comment on table :"schema".outbox is 'Events that are to be published. A row goes when its event was published, or is discarded.';
comment on column :"schema".outbox.position is 'In the order of adding. Says nothing about the order of commits: never a cursor.';
comment on column :"schema".outbox.available_at is 'From when a relay may take it: past, it is ready; future, it is claimed or waits for its next try; infinity, it is parked or dead.';
comment on column :"schema".outbox.dead_at is 'Since when it is a dead letter, which no relay takes by itself.';
comment on column :"schema".outbox.event_id is 'What consumers know it by: derived from the call, its retention period and the place of the event in it.';
comment on column :"schema".outbox.claim is 'The token of the relay that took it last; its writes must match.';
comment on column :"schema".outbox.started is 'How often a relay took it to publish it.';
comment on column :"schema".outbox.finished is 'How often that ended with an error. Those that never ended took their relay with them.';
comment on column :"schema".outbox.namespace is 'Whose event this is, among services that share the schema. Relays of others do not publish it.';
comment on column :"schema".outbox.ordering_key is 'Events of one key are published one after the other, in the order of their positions, of those that are committed by then.';
comment on column :"schema".outbox.headers is 'A JSON object of texts.';

-- What the relay reads: the ready ones, those that waited longest first.
create index outbox_available_at_idx on :"schema".outbox (namespace, available_at, position);
-- Whether an event is the first of its key, and which is next.
create index outbox_ordering_key_idx on :"schema".outbox (namespace, ordering_key, position) where ordering_key is not null;
create index outbox_dead_idx on :"schema".outbox (namespace, position) where dead_at is not null;

create table :"schema".outbox_pause (
  paused_at timestamptz not null default clock_timestamp(),
  namespace text not null,
  topic text not null,
  constraint outbox_pause_pkey primary key (namespace, topic)
);
comment on table :"schema".outbox_pause is 'Topics whose events no relay publishes for now. The empty topic: all of them.';

-- A function, because its plan is kept: a statement that is planned anew costs each event twice as much. It adds nothing
-- where the attempt's transaction was ended: in one that somebody has rolled back, the event would be published alone.
do $define$ begin execute replace($definition$
create function {schema}.add_event(
  p_attempt text,
  p_event_id uuid,
  p_namespace text,
  p_topic text,
  p_ordering_key text,
  p_headers text,
  p_payload bytea
)
returns boolean
language plpgsql
volatile
as $function$
begin
  if current_setting('idempotency.attempt', true) is distinct from p_attempt then
    return false;
  end if;
  insert into {schema}.outbox (event_id, namespace, topic, ordering_key, headers, payload)
  values (p_event_id, p_namespace, p_topic, p_ordering_key, p_headers, p_payload);
  return true;
end
$function$
$definition$, '{schema}', quote_ident(current_setting('idempotency.schema'))); end $define$;
comment on function :"schema".add_event is 'Inserts an event in the transaction of the attempt; false: that was ended, and nothing is inserted.';

insert into :"schema".migration (version, name) values (3, '0003_outbox');
