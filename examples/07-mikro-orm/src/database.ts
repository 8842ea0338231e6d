/** The ORM of everything here. Inside of a guarded mutation it joins the transaction that is there. */

import { MikroORM, PostgreSqlKnexDialect } from '@mikro-orm/postgresql';
import { createIdempotency } from 'graphql-idempotency';
import type { Context } from './context.ts';
import { Order, Points } from './entities.ts';

export const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  migrate: true,
});

// Taken here, and not in the function, which Knex first calls for the first query.
const { driver } = idempotency;

class JoiningDialect extends PostgreSqlKnexDialect {
  _driver(): unknown {
    return driver;
  }
}

export const orm = MikroORM.initSync({
  clientUrl: process.env['DATABASE_URL'] ?? '',
  driverOptions: { client: JoiningDialect },
  entities: [Order, Points],
});
