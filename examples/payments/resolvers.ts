/**
 * What the API does. `charge` writes through the attempt's transaction: the payment commits with its record,
 * and with the event that says so.
 * `payout` has an effect elsewhere, so it goes in steps, each of which is recorded when it is done.
 */

import type { GraphQLResolveInfo } from 'graphql';
import { GraphQLError } from 'graphql';
import { DateTimeResolver } from 'graphql-scalars';
import type { Context } from './context.ts';
import { database } from './database.ts';
import { idempotency } from './idempotency.ts';
import { payOut } from './provider-client.ts';

export interface Payment {
  readonly id: string;
  readonly amountCents: number;
  readonly currency: string;
  readonly reference: string | null;
  readonly createdAt: Date;
}

/** What an event of the topic `payment.captured` says. */
export interface CapturedPayment {
  readonly id: string;
  readonly user: string;
  readonly amountCents: number;
  readonly currency: string;
}

export interface ChargeArguments {
  readonly input: {
    readonly amountCents: number;
    readonly currency: string;
    readonly reference?: string | null;
  };
}

export interface Payout {
  readonly id: string;
  readonly amountCents: number;
  readonly account: string;
  readonly providerId: string;
  readonly createdAt: Date;
}

export interface PayoutArguments {
  readonly input: { readonly amountCents: number; readonly account: string };
}

const limitCents = 1_000_000;

const columns = 'id, amount_cents as "amountCents", currency, reference, created_at as "createdAt"';
const payoutColumns =
  'id, amount_cents as "amountCents", account, provider_id as "providerId", created_at as "createdAt"';

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

    async payouts(_: unknown, _arguments: object, { user }: Context): Promise<Payout[]> {
      const { rows } = await database.query<Payout>(
        `select ${payoutColumns} from payouts where user_id = $1 order by created_at, id`,
        [user],
      );
      return rows;
    },
  },

  Mutation: {
    async charge(
      _: unknown,
      { input }: ChargeArguments,
      { user }: Context,
      info: GraphQLResolveInfo,
    ): Promise<Payment> {
      mustBePositive(input);
      const { tx, outbox } = idempotency.current(info);
      const { rows } = await tx.query<Payment>(
        `insert into payments (user_id, amount_cents, currency, reference) values ($1, $2, $3, $4) returning ${columns}`,
        [user, input.amountCents, input.currency, input.reference],
      );
      const payment = rows[0]!;
      const { id, amountCents, currency } = payment;
      const captured: CapturedPayment = { id, user, amountCents, currency };
      outbox.add({ topic: 'payment.captured', key: user, payload: captured });
      // Refused when all is written: the payment is rolled back, and its event with it.
      mustBeWithinLimit(payment);
      return payment;
    },

    async payout(
      _: unknown,
      { input }: PayoutArguments,
      { user }: Context,
      info: GraphQLResolveInfo,
    ): Promise<Payout> {
      mustBePositive(input);
      const { step } = idempotency.current(info);
      // The provider may have paid although this step breaks off: the next attempt asks with the same key.
      const providerId = await step('pay', ({ key, signal }) => payOut(input, { key, signal }));
      return step.transaction('book', async (tx) => {
        const { rows } = await tx.query<Payout>(
          `insert into payouts (user_id, amount_cents, account, provider_id) values ($1, $2, $3, $4) returning ${payoutColumns}`,
          [user, input.amountCents, input.account, providerId],
        );
        return rows[0]!;
      });
    },
  },
};

function mustBePositive({ amountCents }: { readonly amountCents: number }): void {
  if (amountCents > 0) return;
  throw new GraphQLError('amountCents must be more than 0.', { extensions: { code: 'BAD_USER_INPUT' } });
}

function mustBeWithinLimit({ amountCents }: Payment): void {
  if (amountCents <= limitCents) return;
  throw new GraphQLError(`A payment may not exceed ${limitCents} cents.`, {
    extensions: { code: 'LIMIT_EXCEEDED' },
  });
}
