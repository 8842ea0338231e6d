/** The tables, as Knex's types know them. */

import type { Knex } from 'knex';

interface OrderRow {
  readonly id: string;
  readonly customer: string;
  readonly product: string;
  readonly quantity: number;
}

interface PointsRow {
  readonly id: string;
  readonly order_id: string;
  readonly amount: number;
}

declare module 'knex/types/tables.js' {
  interface Tables {
    orders: Knex.CompositeTableType<OrderRow, Omit<OrderRow, 'id'>>;
    points: Knex.CompositeTableType<PointsRow, Omit<PointsRow, 'id'>>;
  }
}
