/** What the API does. `charge` writes through the attempt's transaction: the payment commits with its record. */

import type { GraphQLResolveInfo } from 'graphql';
import { GraphQLError } from 'graphql';
import { DateTimeResolver } from 'graphql-scalars';
import type { Context } from './context.ts';
import { database } from './database.ts';
import { idempotency } from './idempotency.ts';

export interface Payment {
  readonly id: string;
  readonly amountCents: number;
  readonly currency: string;
  readonly reference: string | null;
  readonly createdAt: Date;
}

export interface ChargeArguments {
  readonly input: {
    readonly amountCents: number;
    readonly currency: string;
    readonly reference?: string | null;
  };
}

const columns = 'id, amount_cents as "amountCents", currency, reference, created_at as "createdAt"';

export const resolvers = {
  DateTime: DateTimeResolver,

  Query: {
    async payments(_: unknown, _arguments: object, { user }: Context): Promise<Payment[]> {
      const { rows } = await database.query<Payment>(
        `select ${columns} from payments where user_id = $1 order by created_at, id`,
        [user],
      );
      return rows;
    },

    async balance(_: unknown, _arguments: object, { user }: Context): Promise<number> {
      const { rows } = await database.query<{ balance: number }>(
        'select coalesce(sum(amount_cents), 0)::float8 as balance from payments where user_id = $1',
        [user],
      );
      return rows[0]!.balance;
    },
  },

  Mutation: {
    async charge(
      _: unknown,
      { input }: ChargeArguments,
      { user }: Context,
      info: GraphQLResolveInfo,
    ): Promise<Payment> {
      if (input.amountCents <= 0) {
        throw new GraphQLError('amountCents must be more than 0.', {
          extensions: { code: 'BAD_USER_INPUT' },
        });
      }
      const { tx } = idempotency.current(info);
      const { rows } = await tx.query<Payment>(
        `insert into payments (user_id, amount_cents, currency, reference) values ($1, $2, $3, $4) returning ${columns}`,
        [user, input.amountCents, input.currency, input.reference],
      );
      return rows[0]!;
    },
  },
};
