-- The inbox: messages that a consumer could not handle. One that was handled has a record, like every other call.
-- By hand, with the schema as a variable:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -v schema=graphql_idempotency -f 0004_inbox.sql

-- For the function below: psql fills variables in nowhere inside of a quoted body.
select set_config('idempotency.schema', :'schema', true);

-- Fixed-width columns first: no padding between them.
create table :"schema".inbox_failure (
  position bigint not null generated always as identity,
  first_at timestamptz not null default clock_timestamp(),
  last_at timestamptz not null default clock_timestamp(),
  dead_at timestamptz,
  started integer not null,
  finished integer not null,
  codec_version smallint not null,
  identity :"schema".sha256 not null,
  fingerprint :"schema".sha256,
  namespace text not null,
  consumer text not null,
  message_id text not null,
  last_error text,
  message bytea not null,
  constraint inbox_failure_pkey primary key (identity),
  constraint inbox_failure_position_key unique (position),
  constraint inbox_failure_counts_agree check (started >= finished and finished >= 0)
);
comment on table :"schema".inbox_failure is 'Messages whose handling has failed. A row goes when its message was handled, is discarded, or has not come for inboxTtl.';
comment on column :"schema".inbox_failure.position is 'In the order of their first failures.';
comment on column :"schema".inbox_failure.dead_at is 'Since when it is a dead letter: the consumer has told the broker that it is done with it.';
comment on column :"schema".inbox_failure.started is 'How often handling it was begun, as far as that was noted.';
comment on column :"schema".inbox_failure.finished is 'How often that ended with an error. Those that never ended took their consumer with them.';
comment on column :"schema".inbox_failure.identity is 'The hash of namespace, consumer and message id: the primary key of its record, once it has one.';
comment on column :"schema".inbox_failure.fingerprint is 'SHA-256 over the payload, by which messages that share an id are told apart; null where it has none.';
comment on column :"schema".inbox_failure.namespace is 'Whose consumer this is, among services that share the schema.';
comment on column :"schema".inbox_failure.message is 'Topic, key, headers and payload, encoded like a result.';

-- What operators list.
create index inbox_failure_dead_idx on :"schema".inbox_failure (namespace, consumer, position) where dead_at is not null;
-- What the sweeper looks for.
create index inbox_failure_last_idx on :"schema".inbox_failure (namespace, last_at) where dead_at is null;

-- A trigger, because whoever completes the record forgets the failures with it: an attempt, a lease, or an operator who
-- settles one. It takes no trip of its own, and locks no row while the handler is at work: another delivery could not
-- note its beginning, nor a handler that is overtaken its failure.
do $define$ begin execute replace($definition$
create function {schema}.forget_failures()
returns trigger
language plpgsql
volatile
as $function$
begin
  -- Not the dead letter of another message that shares the id: nobody has handled that one.
  delete from {schema}.inbox_failure as f
  where f.identity = new.identity and (f.dead_at is null or f.fingerprint = new.fingerprint);
  return null;
end
$function$
$definition$, '{schema}', quote_ident(current_setting('idempotency.schema'))); end $define$;
comment on function :"schema".forget_failures is 'Removes what was noted of a message that is handled now.';

create trigger record_forgets_failures
  after insert or update of state on :"schema".record
  for each row when (new.state = 'completed' and new.outcome = 'result' and starts_with(new.coordinate, 'inbox.'))
  execute function :"schema".forget_failures();

insert into :"schema".migration (version, name) values (4, '0004_inbox');
