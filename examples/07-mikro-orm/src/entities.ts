/** What is stored. */

import type { InferEntity } from '@mikro-orm/core';
import { defineEntity, p } from '@mikro-orm/core';

export const Order = defineEntity({
  name: 'Order',
  tableName: 'orders',
  properties: {
    id: p.uuid().primary().defaultRaw('gen_random_uuid()'),
    customer: p.text(),
    product: p.text(),
    quantity: p.integer(),
    points: () => p.oneToMany(Points).mappedBy('order'),
  },
});

export const Points = defineEntity({
  name: 'Points',
  properties: {
    id: p.uuid().primary().defaultRaw('gen_random_uuid()'),
    order: () => p.manyToOne(Order),
    amount: p.integer(),
  },
});

export type IOrder = InferEntity<typeof Order>;
