/** Knex, over the pool that joins: inside of a guarded mutation it works in the transaction that is there. */

import { createIdempotency } from 'graphql-idempotency';
import knex from 'knex';
import type { Context } from './context.ts';

export const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  migrate: true,
});

export const db = knex({ client: 'pg', connectionPool: idempotency.pool });
