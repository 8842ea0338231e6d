/** The library: whose key it is, and where its records are. Redis is in front where `REDIS_URL` is set. */

import { Console } from 'node:console';
import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency } from 'graphql-idempotency';
import type { Context } from './context.ts';
import { database } from './database.ts';
import { redisSwitch } from './redis-switch.ts';

export const idempotency: Idempotency<Context> = createIdempotency<Context>({
  scope: ({ user }) => user,
  postgres: database,
  // Left out, this is the environment's REDIS_URL: all that a service without such a switch needs.
  redis: redisSwitch.url,
  migrate: true,
  // stdout is for one line, the one that says that the server is ready.
  logger: new Console(process.stderr),
});
