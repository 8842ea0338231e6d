/** A child process that runs the payment service in transactions of a library. */

import pg from 'pg';
import { startService } from '../../support/service.ts';
import type { Service } from '../../support/service.ts';
import { libraryOn } from './libraries.ts';

/** What it says when it is ready. */
export interface PayingLibrary {
  readonly url: string;
}

const databaseUrl = process.env['CHILD_DATABASE_URL']!;
const pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
pool.on('error', () => {});

const service: Service = await startService({
  databaseUrl,
  options: { migrate: false, transaction: libraryOn(pool) },
  pay: async ({ args, info }) => {
    const client = service.idempotency.current(info).client as pg.PoolClient;
    const { rows } = await client.query(
      'insert into payments (amount, note) values ($1, $2) returning id, amount, note',
      [args.amount, args.note],
    );
    return rows[0];
  },
});
process.send?.({ url: service.url } satisfies PayingLibrary);
