/** Orders. */

import { GraphQLError } from 'graphql';
import { dataSource } from './database.ts';
import { Order } from './entities.ts';
import { earnPoints } from './points.ts';

export interface NewOrder {
  readonly product: string;
  readonly quantity: number;
}

export interface PlacedOrder extends NewOrder {
  readonly id: string;
  readonly points: number;
}

const orders = dataSource.getRepository(Order);

export async function placeOrder(customer: string, { product, quantity }: NewOrder): Promise<PlacedOrder> {
  const order = await orders.save({ customer, product, quantity });
  const points = await earnPoints(order, quantity * 10);

  // The order is written already. It is gone with the error, as if it had never been.
  if (product === 'discontinued')
    throw new GraphQLError('This product is not sold any more.', { extensions: { code: 'BAD_USER_INPUT' } });
  return { id: order.id, product, quantity, points };
}

export async function ordersOf(customer: string): Promise<PlacedOrder[]> {
  const found = await orders.find({ where: { customer }, relations: { points: true } });
  return found.map(({ points, ...order }) => ({
    ...order,
    points: points.reduce((sum, { amount }) => sum + amount, 0),
  }));
}
