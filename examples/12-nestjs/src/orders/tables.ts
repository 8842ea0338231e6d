/** The tables. */

import type { OnModuleInit } from '@nestjs/common';
import { Injectable } from '@nestjs/common';
import { Pool } from 'pg';

@Injectable()
export class Tables implements OnModuleInit {
  constructor(private readonly pool: Pool) {}

  /** Makes what is missing. The lock is held to the end of these statements: servers that start together take turns. */
  async onModuleInit(): Promise<void> {
    await this.pool.query(`
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

      create table if not exists blocked (
        customer text primary key
      );
    `);
  }
}
