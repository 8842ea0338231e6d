/** The tables. */

import { sql } from 'drizzle-orm';
import { check, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core';

export const orders = pgTable('orders', {
  id: uuid().primaryKey().defaultRandom(),
  customer: text().notNull(),
  product: text().notNull(),
  quantity: integer().notNull(),
});

export const points = pgTable(
  'points',
  {
    id: uuid().primaryKey().defaultRandom(),
    orderId: uuid('order_id')
      .notNull()
      .references(() => orders.id),
    amount: integer().notNull(),
  },
  (table) => [check('points_amount_check', sql`${table.amount} <= 1000`)],
);
