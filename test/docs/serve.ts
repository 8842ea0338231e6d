/** Serves one guarded mutation to one user, for the code blocks that need a server around them. */

import { ApolloServer } from '@apollo/server';
import type { GraphQLSchema } from 'graphql';
import type { Idempotency } from 'graphql-idempotency';
import type { Context } from './prelude.ts';

export type Resolver = (...parameters: never[]) => unknown;

/** A schema with the mutation `charge`, or its resolver alone. */
export type Served = { readonly schema: GraphQLSchema } | { readonly charge: Resolver };

export interface ChargeAnswer {
  readonly charge: unknown;
  readonly outcome: string | undefined;
  readonly error: string | undefined;
  readonly code: unknown;
}

export interface ChargeServer {
  send(key: string, amountCents?: number): Promise<ChargeAnswer>;
  stop(): Promise<void>;
}

const CHARGE = 'mutation ($key: String!, $n: Int! = 5) { charge(amountCents: $n) @idempotent(key: $key) }';

export async function serve(instance: Idempotency<Context>, served: Served): Promise<ChargeServer> {
  // Not before: it reads the environment, which the test sets.
  const { typeDefs } = await import('./prelude.ts');
  const server = new ApolloServer<Context>({
    ...('schema' in served
      ? served
      : { typeDefs: [instance.typeDefs, typeDefs], resolvers: { Mutation: { charge: served.charge } } }),
    plugins: [instance.plugin()],
  });
  await server.start();
  return {
    stop: () => server.stop(),
    async send(key, amountCents) {
      const { body } = await server.executeOperation(
        { query: CHARGE, variables: amountCents === undefined ? { key } : { key, n: amountCents } },
        { contextValue: { user: 'alice' } },
      );
      if (body.kind !== 'single') throw new Error('incremental delivery');
      const { data, errors, extensions } = body.singleResult;
      const told = extensions as { idempotency?: { charge?: { outcome: string } } } | undefined;
      return {
        charge: data?.['charge'],
        outcome: told?.idempotency?.charge?.outcome,
        error: errors?.[0]?.message,
        code: errors?.[0]?.extensions?.['code'],
      };
    },
  };
}
