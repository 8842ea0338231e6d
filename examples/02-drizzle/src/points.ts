/** Points, which an order earns. */

import { DrizzleQueryError } from 'drizzle-orm';
import { DatabaseError } from 'pg';
import { db } from './database.ts';
import { points } from './tables.ts';

/** Returns how many were earned: none where the table's check finds them too many. */
export async function earnPoints(orderId: string, amount: number): Promise<number> {
  try {
    await db.transaction(async (tx) => {
      await tx.insert(points).values({ orderId, amount });
    });
    return amount;
  } catch (error) {
    if (isTooMany(error)) return 0;
    throw error;
  }
}

function isTooMany(error: unknown): boolean {
  const cause = error instanceof DrizzleQueryError ? error.cause : error;
  return cause instanceof DatabaseError && cause.constraint === 'points_amount_check';
}
