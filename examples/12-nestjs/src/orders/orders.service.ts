/** Orders, and the points that they earn. Knows nothing of keys and transactions. */

import { Injectable } from '@nestjs/common';
import { GraphQLError } from 'graphql';
import { Pool } from 'pg';
import type { Order } from './order.ts';

@Injectable()
export class OrdersService {
  constructor(private readonly pool: Pool) {}

  async place(customer: string, product: string, quantity: number): Promise<Order> {
    const { rows } = await this.pool.query<{ id: string }>(
      'insert into orders (customer, product, quantity) values ($1, $2, $3) returning id',
      [customer, product, quantity],
    );
    const { id } = rows[0]!;
    const points = quantity * 10;
    await this.pool.query('insert into points (order_id, amount) values ($1, $2)', [id, points]);
    if (product === 'discontinued')
      throw new GraphQLError('This product is not sold any more.', {
        extensions: { code: 'BAD_USER_INPUT' },
      });
    return { id, product, quantity, points };
  }

  async of(customer: string): Promise<Order[]> {
    const { rows } = await this.pool.query<Order>(
      `select o.id, o.product, o.quantity, coalesce(sum(p.amount), 0)::integer as points
       from orders as o left join points as p on p.order_id = o.id where o.customer = $1 group by o.id`,
      [customer],
    );
    return rows;
  }
}
