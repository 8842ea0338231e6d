/** Makes the tables. A real service would have migrations. */

import { db } from './database.ts';

/** Makes what is missing. The lock is held to the end of the transaction: servers that start together take turns. */
export async function createTables(): Promise<void> {
  await db.transaction(async (trx) => {
    await trx.raw(`select pg_advisory_xact_lock(hashtextextended('create tables', 0))`);
    if (await trx.schema.hasTable('orders')) return;
    await trx.schema.createTable('orders', (table) => {
      table.uuid('id').primary().defaultTo(trx.fn.uuid());
      table.text('customer').notNullable();
      table.text('product').notNullable();
      table.integer('quantity').notNullable();
    });
    await trx.schema.createTable('points', (table) => {
      table.uuid('id').primary().defaultTo(trx.fn.uuid());
      table.uuid('order_id').notNullable().references('orders.id');
      table.integer('amount').notNullable();
      table.check('?? <= 1000', ['amount'], 'points_amount_check');
    });
  });
}
