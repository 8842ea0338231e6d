/** Points, which an order earns. */

import { Prisma } from './generated/client.ts';

/** Returns how many were earned: none where the table's check finds them too many. */
export async function earnPoints(
  db: Prisma.TransactionClient,
  orderId: string,
  amount: number,
): Promise<number> {
  try {
    await db.$transaction((part) => part.points.create({ data: { orderId, amount } }));
    return amount;
  } catch (error) {
    if (isRefusedByCheck(error)) return 0;
    throw error;
  }
}

function isRefusedByCheck(error: unknown): boolean {
  return (
    error instanceof Prisma.PrismaClientKnownRequestError && error.message.includes('points_amount_check')
  );
}
