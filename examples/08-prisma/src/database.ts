/** Prisma, and the transactions that it runs guarded mutations in. */

import { PrismaPg } from '@prisma/adapter-pg';
import { createIdempotency } from 'graphql-idempotency';
import type { Context } from './context.ts';
import type { Prisma } from './generated/client.ts';
import { PrismaClient } from './generated/client.ts';

const adapter = new PrismaPg({ connectionString: process.env['DATABASE_URL'] });
export const prisma = new PrismaClient({ adapter });

export const idempotency = createIdempotency<Context, Prisma.TransactionClient>({
  scope: (context) => context.user,
  migrate: true,
  transaction: (work) =>
    prisma.$transaction(
      (client) => work({ client, query: (text, values) => client.$queryRawUnsafe(text, ...values) }),
      { isolationLevel: 'ReadCommitted', timeout: 30_000 },
    ),
});
