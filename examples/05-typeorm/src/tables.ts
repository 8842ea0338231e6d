/** The tables. */

import { dataSource } from './database.ts';

/** Makes what is missing. The lock is held to the end of these statements: servers that start together take turns. */
export async function createTables(): Promise<void> {
  await dataSource.query(`
    select pg_advisory_xact_lock(hashtextextended('create tables', 0));

    create table if not exists orders (
      id uuid primary key default gen_random_uuid(),
      customer text not null,
      product text not null,
      quantity integer not null
    );

    create table if not exists points (
      id uuid primary key default gen_random_uuid(),
      order_id uuid not null references orders,
      amount integer not null check (amount <= 1000)
    );
  `);
}
