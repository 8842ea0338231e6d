/** The library: whose key it is, and where its records are. */

import { createIdempotency } from 'graphql-idempotency';
import type { Context } from './context.ts';
import { pool } from './database.ts';

export const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  postgres: pool,
  migrate: true,
});
