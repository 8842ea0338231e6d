/** Orders, and the points that they earn. */

import { GraphQLError } from 'graphql';
import type { Transaction } from 'graphql-idempotency';
import { pool } from './database.ts';

export interface Order {
  readonly id: string;
  readonly product: string;
  readonly quantity: number;
  readonly points: number;
}

export interface NewOrder {
  readonly product: string;
  readonly quantity: number;
}

/** Writes through the transaction of the attempt: the order and the record of its key are there together, or neither is. */
export async function placeOrder(tx: Transaction, customer: string, order: NewOrder): Promise<Order> {
  const { product, quantity } = order;
  const inserted = await tx.query<{ id: string }>(
    'insert into orders (customer, product, quantity) values ($1, $2, $3) returning id',
    [customer, product, quantity],
  );
  const { id } = inserted.rows[0]!;
  const points = quantity * 10;
  await tx.query('insert into points (order_id, amount) values ($1, $2)', [id, points]);
  if (product === 'discontinued')
    throw new GraphQLError('This product is not sold any more.', { extensions: { code: 'BAD_USER_INPUT' } });
  return { id, product, quantity, points };
}

const select = `select o.id, o.product, o.quantity, coalesce(sum(p.amount), 0)::integer as points
  from orders as o left join points as p on p.order_id = o.id`;

export async function ordersOf(customer: string): Promise<Order[]> {
  const { rows } = await pool.query<Order>(`${select} where o.customer = $1 group by o.id`, [customer]);
  return rows;
}

/** Finds the order of this customer: whoever reaches the subgraph may send references to anybody's. */
export async function orderOf(customer: string, id: string): Promise<Order | undefined> {
  const { rows } = await pool.query<Order>(`${select} where o.customer = $1 and o.id = $2 group by o.id`, [
    customer,
    id,
  ]);
  return rows[0];
}
