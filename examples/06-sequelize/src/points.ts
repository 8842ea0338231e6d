/** Points, which an order earns. */

import type { DatabaseError } from 'pg';
import { DatabaseError as QueryFailed } from 'sequelize';
import { sequelize } from './database.ts';
import { Points } from './models.ts';

/** Returns how many were earned: none where the table's check finds them too many. */
export async function earnPoints(orderId: string, amount: number): Promise<number> {
  try {
    await sequelize.transaction((transaction) => Points.create({ orderId, amount }, { transaction }));
    return amount;
  } catch (error) {
    if (isTooMany(error)) return 0;
    throw error;
  }
}

function isTooMany(error: unknown): boolean {
  return error instanceof QueryFailed && (error.parent as DatabaseError).constraint === 'points_amount_check';
}
