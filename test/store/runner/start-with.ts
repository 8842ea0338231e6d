/** A service whose payments are written through a library's handle, until the test is over. */

import type { TransactionRunner } from 'graphql-idempotency';
import type pg from 'pg';
import { onTestFinished } from 'vitest';
import { shortTimeouts } from '../../faults/postgres/retries.ts';
import { startService } from '../../support/service.ts';
import type { PayCall, Service } from '../../support/service.ts';

export type Runner = TransactionRunner<pg.PoolClient>;

export interface LibraryCall {
  readonly client: pg.PoolClient;
  /** Writes the payment, and returns it. */
  readonly insert: () => Promise<unknown>;
}

export async function startWith(
  databaseUrl: string,
  transaction: Runner,
  resolver: (call: LibraryCall) => unknown = ({ insert }) => insert(),
): Promise<Service> {
  const service: Service = await startService({
    databaseUrl,
    // Longer than any test: what ends an attempt is what the test is about.
    options: { ...shortTimeouts, transactionTimeout: 60_000, transaction },
    pay: ({ args, info }: PayCall) => {
      const client = service.idempotency.current(info).client as pg.PoolClient;
      return resolver({
        client,
        insert: async () => {
          const { rows } = await client.query(
            'insert into payments (amount, note) values ($1, $2) returning id, amount, note',
            [args.amount, args.note],
          );
          return rows[0];
        },
      });
    },
  });
  onTestFinished(() => service.stop());
  return service;
}
