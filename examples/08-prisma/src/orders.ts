/** Orders. */

import { GraphQLError } from 'graphql';
import type { Prisma } from './generated/client.ts';
import { earnPoints } from './points.ts';

export interface NewOrder {
  readonly product: string;
  readonly quantity: number;
}

export interface Order extends NewOrder {
  readonly id: string;
  readonly points: number;
}

export async function placeOrder(
  db: Prisma.TransactionClient,
  customer: string,
  { product, quantity }: NewOrder,
): Promise<Order> {
  const { id } = await db.order.create({ data: { customer, product, quantity } });
  const points = await earnPoints(db, id, quantity * 10);

  // The order is written already. It is gone with the error, as if it had never been.
  if (product === 'discontinued')
    throw new GraphQLError('This product is not sold any more.', { extensions: { code: 'BAD_USER_INPUT' } });
  return { id, product, quantity, points };
}

export async function ordersOf(db: Prisma.TransactionClient, customer: string): Promise<Order[]> {
  const orders = await db.order.findMany({ where: { customer }, include: { points: true } });
  return orders.map(({ id, product, quantity, points }) => ({
    id,
    product,
    quantity,
    points: points.reduce((sum, { amount }) => sum + amount, 0),
  }));
}
