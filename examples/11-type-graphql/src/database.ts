/** The pool that everything here goes through. Inside of a guarded mutation it joins the transaction that is there. */

import { createIdempotency } from 'graphql-idempotency';
import type { Pool } from 'pg';
import type { Context } from './context.ts';

export const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  migrate: true,
});

export const pool: Pool = idempotency.pool;
