/** The Sequelize of everything here. Inside of a guarded mutation it joins the transaction that is there. */

import { createIdempotency } from 'graphql-idempotency';
import { Sequelize } from 'sequelize';
import type { Context } from './context.ts';

export const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  migrate: true,
});

export const sequelize = new Sequelize(process.env['DATABASE_URL'] ?? '', {
  dialect: 'postgres',
  dialectModule: idempotency.driver,
  logging: false,
});
