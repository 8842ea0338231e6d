/** Kysely, over the pool that joins: inside of a guarded mutation it works in the transaction that is there. */

import { createIdempotency } from 'graphql-idempotency';
import { Kysely, PostgresDialect } from 'kysely';
import type { Context } from './context.ts';
import type { Tables } from './tables.ts';

export const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  migrate: true,
});

export const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: idempotency.pool }) });
