/** The API, code first: a field is guarded by its extensions, which take what the directive takes in SDL. */

import SchemaBuilder from '@pothos/core';
import type { Context } from './context.ts';
import { idempotency } from './idempotency.ts';
import type { Order } from './orders.ts';
import { ordersOf, placeOrder } from './orders.ts';

const builder = new SchemaBuilder<{ Context: Context; DefaultFieldNullability: false }>({
  defaultFieldNullability: false,
});

const OrderType = builder.objectRef<Order>('Order').implement({
  fields: (t) => ({
    id: t.exposeID('id'),
    product: t.exposeString('product'),
    quantity: t.exposeInt('quantity'),
    points: t.exposeInt('points'),
  }),
});

builder.queryType({
  fields: (t) => ({
    orders: t.field({
      type: [OrderType],
      resolve: (_parent, _args, { user }) => ordersOf(user),
    }),
  }),
});

builder.mutationType({
  fields: (t) => ({
    placeOrder: t.field({
      type: OrderType,
      args: {
        product: t.arg.string({ required: true }),
        quantity: t.arg.int({ required: true }),
      },
      extensions: { idempotent: {} },
      resolve(_parent, order, { user }, info) {
        const { tx } = idempotency.current(info);
        return placeOrder(tx, user, order);
      },
    }),
  }),
});

export const schema = builder.toSchema();
