/** Where payments and payouts are kept: on the Postgres server of `DATABASE_URL`, or else in a folder, one for each port. */

import { embeddedPool } from 'graphql-idempotency';
import { Pool } from 'pg';

const { IDEMPOTENCY_DATABASE_URL, DATABASE_URL, IDEMPOTENCY_EMBEDDED_FOLDER, PORT } = process.env;
const connectionString = IDEMPOTENCY_DATABASE_URL || DATABASE_URL;

export const database: Pool = connectionString
  ? new Pool({ connectionString })
  : await embeddedPool({ folder: IDEMPOTENCY_EMBEDDED_FOLDER || `.data/payments-${PORT || 4000}` });

// The pool replaces an idle connection that breaks; unheard, its error would end the process.
database.on('error', ({ message }) => console.error(`An idle connection was lost: ${message}`));

// Several statements without values are one transaction. The lock is held to its end: two servers that start
// at once would otherwise both find a table missing, and one of them fail.
await database.query(`
  select pg_advisory_xact_lock(hashtextextended('create payments', 0));

  create table if not exists payments (
    id uuid primary key default gen_random_uuid(),
    user_id text not null,
    amount_cents integer not null check (amount_cents > 0),
    currency text not null,
    reference text,
    created_at timestamptz not null default clock_timestamp()
  );

  create index if not exists payments_of_user on payments (user_id, created_at);

  create table if not exists payouts (
    id uuid primary key default gen_random_uuid(),
    user_id text not null,
    amount_cents integer not null check (amount_cents > 0),
    account text not null,
    provider_id text not null,
    created_at timestamptz not null default clock_timestamp()
  );

  create index if not exists payouts_of_user on payouts (user_id, created_at);
`);
