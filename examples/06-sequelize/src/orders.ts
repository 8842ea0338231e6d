/** Orders. */

import { GraphQLError } from 'graphql';
import { Order } from './models.ts';
import { earnPoints } from './points.ts';

export interface NewOrder {
  readonly product: string;
  readonly quantity: number;
}

export interface PlacedOrder extends NewOrder {
  readonly id: string;
  readonly points: number;
}

export async function placeOrder(customer: string, { product, quantity }: NewOrder): Promise<PlacedOrder> {
  const { id } = await Order.create({ customer, product, quantity });
  const points = await earnPoints(id, quantity * 10);

  // The order is written already. It is gone with the error, as if it had never been.
  if (product === 'discontinued')
    throw new GraphQLError('This product is not sold any more.', { extensions: { code: 'BAD_USER_INPUT' } });
  return { id, product, quantity, points };
}

export async function ordersOf(customer: string): Promise<PlacedOrder[]> {
  const found = await Order.findAll({ where: { customer }, include: 'points' });
  return found.map(({ id, product, quantity, points = [] }) => ({
    id,
    product,
    quantity,
    points: points.reduce((sum, { amount }) => sum + amount, 0),
  }));
}
