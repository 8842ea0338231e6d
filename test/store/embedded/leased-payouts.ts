/** Payouts in lease mode on the embedded database, without a server; run as a process, one that hangs in the middle. */

import { buildSchema, graphql } from 'graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { createIdempotency, embeddedPool } from 'graphql-idempotency';
import type { CurrentAttempt, Idempotency, IdempotencyOptions } from 'graphql-idempotency';
import type { Pool } from 'pg';

interface Context {
  readonly key: string;
}

export interface Payouts {
  readonly pool: Pool;
  readonly idempotency: Idempotency<Context>;
  /** Runs a mutation, and returns its value, or the code of its error. */
  call(field: 'payout' | 'refuse' | 'write', key: string): Promise<unknown>;
  end(): Promise<void>;
}

export interface PayoutsOptions {
  readonly folder: string;
  readonly options?: Partial<IdempotencyOptions<Context>>;
  readonly payout?: (current: CurrentAttempt, key: string) => unknown;
  readonly write?: (current: CurrentAttempt) => unknown;
}

const SDL = `
  type Query { q: Int }
  type Mutation {
    payout: Int @idempotent(mode: LEASE, abandoned: RERUN, inFlight: WAIT)
    refuse: Int @idempotent(mode: LEASE)
    write: Int @idempotent
  }`;

export async function openPayouts({ folder, options, payout, write }: PayoutsOptions): Promise<Payouts> {
  const pool = await embeddedPool({ folder });
  const idempotency = createIdempotency<Context>({
    scope: () => 'alice',
    requestKeys: ({ key }) => ({ header: key }),
    postgres: pool,
    redis: false,
    sweepInterval: 0,
    recoverInterval: 0,
    drainTimeout: 100,
    logger: { info() {}, warn() {}, error() {} },
    ...options,
  });
  const schema = idempotency.applyTo(buildSchema(`${idempotency.typeDefs} ${SDL}`, { assumeValidSDL: true }));
  const rootValue = {
    payout: (_: unknown, { key }: Context, info: GraphQLResolveInfo) =>
      payout?.(idempotency.current(info), key),
    refuse: (_: unknown, { key }: Context, info: GraphQLResolveInfo) =>
      payout?.(idempotency.current(info), key),
    write: (_: unknown, __: Context, info: GraphQLResolveInfo) => write?.(idempotency.current(info)),
  };
  await idempotency.open();
  return {
    pool,
    idempotency,
    async call(field, key) {
      const { data, errors } = await graphql({
        schema,
        source: `mutation { ${field} }`,
        rootValue,
        contextValue: { key },
      });
      const code = errors?.[0]?.extensions['code'];
      return errors === undefined ? data![field] : (code ?? errors[0]!.message);
    },
    async end() {
      await idempotency.close();
      await pool.end();
    },
  };
}

if (process.env['PAYOUTS_FOLDER'] !== undefined) {
  const payouts = await openPayouts({
    folder: process.env['PAYOUTS_FOLDER'],
    options: { lease: 3000 },
    async payout({ step }, key) {
      const charged = await step('charge', ({ key: derived }) => derived);
      process.send?.({ charged, key });
      return new Promise(() => {});
    },
  });
  void payouts.call('payout', 'killed');
  void payouts.call('refuse', 'killed-and-refused');
}
