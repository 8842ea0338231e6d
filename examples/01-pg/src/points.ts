/** Points, which an order earns. */

import { DatabaseError } from 'pg';
import { pool } from './database.ts';

/** Returns how many were earned: none where the table's check finds them too many. */
export async function earnPoints(orderId: string, amount: number): Promise<number> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('insert into points (order_id, amount) values ($1, $2)', [orderId, amount]);
    await client.query('commit');
    return amount;
  } catch (error) {
    await client.query('rollback');
    if (error instanceof DatabaseError && error.constraint === 'points_amount_check') return 0;
    throw error;
  } finally {
    client.release();
  }
}
