/** A mutation in lease mode with three steps, two of them at the provider: for both policies about abandoned attempts. */

import type { GraphQLResolveInfo } from 'graphql';
import type { Idempotency } from 'graphql-idempotency';
import type { ServiceContext } from '../../support/service.ts';

export type Policy = 'RERUN' | 'REFUSE';

/** What the mutation returns. */
export interface Transfer {
  readonly note: string;
  readonly reserved: string;
  readonly payment: number;
  readonly captured: string;
  readonly attempt: number;
}

export interface TransferOptions {
  readonly providerUrl: string;
  /** Called where the attempt may be interrupted between two steps; what it returns is awaited. */
  readonly at?: (point: string, note: string) => unknown;
  /** Called with every run of the resolver. */
  readonly onRun: (run: TransferRun) => void;
}

export interface TransferRun {
  readonly note: string;
  readonly attempt: number;
}

export const transferTypeDefs = `
  type Transfer { note: String! reserved: String! payment: Int! captured: String! attempt: Int! }
  extend type Mutation {
    transfer(note: String!): Transfer @idempotent(mode: LEASE, abandoned: RERUN)
    transferOnce(note: String!): Transfer @idempotent(mode: LEASE)
  }
`;

const fields = { RERUN: 'transfer', REFUSE: 'transferOnce' } as const;

/** The operation of a policy; what it did is in `data.transfer`. */
export function transferOperation(policy: Policy): string {
  return `mutation ($note: String!) {
    transfer: ${fields[policy]}(note: $note) { note reserved payment captured attempt }
  }`;
}

export function transferResolvers({ providerUrl, at, onRun }: TransferOptions) {
  const ask = async (step: string, note: string, key: string): Promise<string> => {
    const response = await fetch(providerUrl, {
      method: 'POST',
      headers: { 'idempotency-key': key },
      body: JSON.stringify({ step, note }),
    });
    return ((await response.json()) as { receipt: string }).receipt;
  };

  return (idempotency: Idempotency<ServiceContext>): Record<string, Record<string, unknown>> => {
    async function transfer(
      _: unknown,
      { note }: { readonly note: string },
      __: unknown,
      info: GraphQLResolveInfo,
    ): Promise<Transfer> {
      await at?.('before-resolver', note);
      const { step, attempt } = idempotency.current(info);
      onRun({ note, attempt });
      const reserved = await step('reserve', async ({ key }) => {
        await at?.('before-reserve', note);
        const receipt = await ask('reserve', note, key);
        await at?.('after-reserve', note);
        return receipt;
      });
      await at?.('between-steps', note);
      const payment = await step.transaction('book', async (tx) => {
        await at?.('before-insert', note);
        const { rows } = await tx.query<{ id: number }>(
          'insert into payments (amount, note) values ($1, $2) returning id',
          [100, note],
        );
        await at?.('after-insert', note);
        return rows[0]!.id;
      });
      const captured = await step('capture', async ({ key }) => {
        await at?.('before-capture', note);
        const receipt = await ask('capture', note, key);
        await at?.('after-capture', note);
        return receipt;
      });
      await at?.('after-steps', note);
      return { note, reserved, payment, captured, attempt };
    }
    return { Mutation: { transfer, transferOnce: transfer } };
  };
}
