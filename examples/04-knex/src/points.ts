/** Points, which an order earns. */

import { DatabaseError } from 'pg';
import { db } from './database.ts';

/** Returns how many were earned: none where the table's check finds them too many. */
export async function earnPoints(orderId: string, amount: number): Promise<number> {
  try {
    await db.transaction(async (trx) => {
      await trx('points').insert({ order_id: orderId, amount });
    });
    return amount;
  } catch (error) {
    if (error instanceof DatabaseError && error.constraint === 'points_amount_check') return 0;
    throw error;
  }
}
