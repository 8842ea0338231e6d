/** Orders. */

import type { EntityManager } from '@mikro-orm/postgresql';
import { GraphQLError } from 'graphql';
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

export async function placeOrder(
  em: EntityManager,
  customer: string,
  { product, quantity }: NewOrder,
): Promise<PlacedOrder> {
  const order = em.create(Order, { customer, product, quantity });
  await em.persistAndFlush(order);
  const points = await earnPoints(em, order, quantity * 10);

  // The order is written already. It is gone with the error, as if it had never been.
  if (product === 'discontinued')
    throw new GraphQLError('This product is not sold any more.', { extensions: { code: 'BAD_USER_INPUT' } });
  return { id: order.id, product, quantity, points };
}

export async function ordersOf(em: EntityManager, customer: string): Promise<PlacedOrder[]> {
  const found = await em.find(Order, { customer }, { populate: ['points'] });
  return found.map(({ id, product, quantity, points }) => ({
    id,
    product,
    quantity,
    points: points.reduce((sum, { amount }) => sum + amount, 0),
  }));
}
