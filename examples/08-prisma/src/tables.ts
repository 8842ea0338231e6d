/** The tables that prisma/schema.prisma describes. `prisma migrate` would make them as well. */

import { prisma } from './database.ts';

/** Makes what is missing. The lock is held to the end of the transaction: servers that start together take turns. */
export async function createTables(): Promise<void> {
  await prisma.$transaction([
    prisma.$executeRaw`select pg_advisory_xact_lock(hashtextextended('create tables', 0))`,
    prisma.$executeRaw`
      create table if not exists orders (
        id uuid primary key default gen_random_uuid(),
        customer text not null,
        product text not null,
        quantity integer not null
      )`,
    prisma.$executeRaw`
      create table if not exists points (
        id uuid primary key default gen_random_uuid(),
        order_id uuid not null references orders,
        amount integer not null check (amount <= 1000)
      )`,
  ]);
}
