/** Drizzle, over the pool that joins: inside of a guarded mutation it works in the transaction that is there. */

import { drizzle } from 'drizzle-orm/node-postgres';
import { createIdempotency } from 'graphql-idempotency';
import type { Context } from './context.ts';

export const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  migrate: true,
});

export const db = drizzle(idempotency.pool);
