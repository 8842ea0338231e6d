/** Points, which an order earns. */

import { CheckConstraintViolationException } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { IOrder } from './entities.ts';
import { Points } from './entities.ts';

/** Returns how many were earned: none where the table's check finds them too many. */
export async function earnPoints(em: EntityManager, order: IOrder, amount: number): Promise<number> {
  try {
    await em.transactional(async (em) => {
      em.create(Points, { order, amount });
    });
    return amount;
  } catch (error) {
    if (error instanceof CheckConstraintViolationException) return 0;
    throw error;
  }
}
