/** The tables, as Kysely's types know them. */

import type { Generated } from 'kysely';

export interface Tables {
  readonly orders: {
    readonly id: Generated<string>;
    readonly customer: string;
    readonly product: string;
    readonly quantity: number;
  };
  readonly points: {
    readonly id: Generated<string>;
    readonly order_id: string;
    readonly amount: number;
  };
}
