/** Makes the tables. A real service would have migrations. */

import { sql } from 'kysely';
import { db } from './database.ts';

/** Makes what is missing. The lock is held to the end of the transaction: servers that start together take turns. */
export async function createTables(): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(hashtextextended('create tables', 0))`.execute(trx);
    await trx.schema
      .createTable('orders')
      .ifNotExists()
      .addColumn('id', 'uuid', (column) => column.primaryKey().defaultTo(sql`gen_random_uuid()`))
      .addColumn('customer', 'text', (column) => column.notNull())
      .addColumn('product', 'text', (column) => column.notNull())
      .addColumn('quantity', 'integer', (column) => column.notNull())
      .execute();
    await trx.schema
      .createTable('points')
      .ifNotExists()
      .addColumn('id', 'uuid', (column) => column.primaryKey().defaultTo(sql`gen_random_uuid()`))
      .addColumn('order_id', 'uuid', (column) => column.notNull().references('orders.id'))
      .addColumn('amount', 'integer', (column) => column.notNull())
      .addCheckConstraint('points_amount_check', sql`amount <= 1000`)
      .execute();
  });
}
