/** Points, which an order earns. */

import type { DatabaseError } from 'pg';
import type { DeepPartial } from 'typeorm';
import { QueryFailedError } from 'typeorm';
import { dataSource } from './database.ts';
import type { Order } from './entities.ts';
import { Points } from './entities.ts';

/** Returns how many were earned: none where the table's check finds them too many. */
export async function earnPoints(order: DeepPartial<Order>, amount: number): Promise<number> {
  try {
    await dataSource.transaction((manager) => manager.save(Points, { order, amount }));
    return amount;
  } catch (error) {
    if (isTooMany(error)) return 0;
    throw error;
  }
}

function isTooMany(error: unknown): boolean {
  if (!(error instanceof QueryFailedError)) return false;
  return (error as QueryFailedError<DatabaseError>).driverError.constraint === 'points_amount_check';
}
