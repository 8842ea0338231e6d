-- The inbox: messages that a consumer could not handle. One that was handled has a record, like every other call.
-- By hand, with the schema as a variable:
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -1 -v schema=graphql_idempotency -f 0004_inbox.sql

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
  namespace text not null,
  consumer text not null,
  message_id text not null,
  last_error text,
  message bytea not null,
  constraint inbox_failure_pkey primary key (identity),
  constraint inbox_failure_position_key unique (position),
  constraint inbox_failure_counts_agree check (started >= finished and finished >= 0)
);
comment on table :"schema".inbox_failure is 'Messages whose handling has failed. A row goes when its message was handled, or is discarded.';
comment on column :"schema".inbox_failure.position is 'In the order of their first failures.';
comment on column :"schema".inbox_failure.dead_at is 'Since when it is a dead letter: the consumer has told the broker that it is done with it.';
comment on column :"schema".inbox_failure.started is 'How often handling it was begun, as far as that was noted.';
comment on column :"schema".inbox_failure.finished is 'How often that ended with an error. Those that never ended took their consumer with them.';
comment on column :"schema".inbox_failure.identity is 'The hash of namespace, consumer and message id: the primary key of its record, once it has one.';
comment on column :"schema".inbox_failure.namespace is 'Whose consumer this is, among services that share the schema.';
comment on column :"schema".inbox_failure.message is 'Topic, key, headers and payload, encoded like a result.';

-- What operators list.
create index inbox_failure_dead_idx on :"schema".inbox_failure (namespace, consumer, position) where dead_at is not null;

insert into :"schema".migration (version, name) values (4, '0004_inbox');
