/** The data source of everything here. Inside of a guarded mutation it joins the transaction that is there. */

import { createIdempotency } from 'graphql-idempotency';
import { DataSource } from 'typeorm';
import type { Context } from './context.ts';
import { Order, Points } from './entities.ts';

export const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  migrate: true,
});

export const dataSource = new DataSource({
  type: 'postgres',
  driver: idempotency.driver,
  url: process.env['DATABASE_URL'],
  entities: [Order, Points],
  uuidExtension: 'pgcrypto',
  installExtensions: false,
});
