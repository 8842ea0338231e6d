/** Who may order. */

import { ForbiddenException, Injectable } from '@nestjs/common';
import { Pool } from 'pg';

@Injectable()
export class Permissions {
  constructor(private readonly pool: Pool) {}

  /** Throws for a customer who was blocked. */
  async demandOrdering(customer: string): Promise<void> {
    const { rows } = await this.pool.query('select from blocked where customer = $1', [customer]);
    if (rows.length > 0) throw new ForbiddenException('You may not order any more.');
  }
}
