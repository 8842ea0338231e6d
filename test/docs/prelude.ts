/** What the shorter code blocks of the documents take for granted; each gets what it uses and doesn't make. */

import { GraphQLError } from 'graphql';
import type { GraphQLResolveInfo } from 'graphql';
import { FinalError, NotExecutedError, createIdempotency } from 'graphql-idempotency';
import type { Idempotency } from 'graphql-idempotency';
import {
  CHARGE,
  OutcomeUnknownError,
  client,
  idempotencyLink,
  keepForLater,
  localStorage,
} from './shop-client.ts';
import { app, mailer, queue, usersToBill } from './workers.ts';

export { FinalError, GraphQLError, NotExecutedError, createIdempotency };
export { app, mailer, queue, usersToBill };
export { CHARGE, OutcomeUnknownError, client, idempotencyLink, keepForLater, localStorage };
export type { GraphQLResolveInfo };

export interface Context {
  readonly user: string;
}

export const idempotency: Idempotency<Context> = createIdempotency<Context>({ scope: ({ user }) => user });

/** What the test reads, and sets. */
export const world = {
  revoked: new Set<string>(),
  calls: [] as string[],
  providerKeys: [] as string[],
  /** Whether the provider's next answer is lost. */
  loseAnswer: false,
  /** What the provider waits for before it charges. */
  gate: undefined as Promise<void> | undefined,
  /** Whether the warehouse has none left. */
  soldOut: false,
};

export async function mayCall(user: string, _field: string): Promise<boolean> {
  return !world.revoked.has(user);
}

export async function assertMayCall({ user }: Context, field: string): Promise<void> {
  world.calls.push(`assertMayCall ${field}`);
  if (!(await mayCall(user, field))) throw new GraphQLError('forbidden');
}

export function audit(user: string, field: string): void {
  world.calls.push(`audit ${user} ${field}`);
}

export function count(name: string, detail?: string): void {
  world.calls.push(`count ${name} ${detail ?? ''}`.trim());
}

export function log(message: string): void {
  world.calls.push(`log ${message}`);
}

export async function sendEmail(user: string, _text: string): Promise<void> {
  world.calls.push(`email ${user}`);
}

export const provider = {
  async charge(
    _amountCents: number,
    { idempotencyKey }: { idempotencyKey: string },
  ): Promise<{ id: string }> {
    world.providerKeys.push(idempotencyKey);
    await world.gate;
    if (!world.loseAnswer) return { id: 'charge 1' };
    world.loseAnswer = false;
    throw new Error('the answer was lost');
  },

  async payOut(
    _amountCents: number,
    { idempotencyKey, signal }: { idempotencyKey: string; signal: AbortSignal },
  ): Promise<{ id: string }> {
    signal.throwIfAborted();
    world.providerKeys.push(idempotencyKey);
    if (!world.loseAnswer) return { id: 'payout 1' };
    world.loseAnswer = false;
    throw new Error('the answer was lost');
  },
};

export const warehouse = {
  async send({ reference, signal }: { reference: string; signal: AbortSignal }): Promise<{ id: string }> {
    signal.throwIfAborted();
    world.calls.push(`send ${reference}`);
    if (world.soldOut) throw new RangeError('there are none left');
    return { id: 'parcel 1' };
  },
};

export const typeDefs = `
  type Query { ping: String }
  type Mutation { charge(amountCents: Int!): Int @idempotent }
`;

export const resolvers = {
  Mutation: {
    async charge(
      _: unknown,
      { amountCents }: { amountCents: number },
      { user }: Context,
      info: GraphQLResolveInfo,
    ): Promise<number> {
      world.calls.push('charge');
      const { tx } = idempotency.current(info);
      await tx.query('insert into payments (user_id, amount_cents) values ($1, $2)', [user, amountCents]);
      return amountCents;
    },
  },
};
