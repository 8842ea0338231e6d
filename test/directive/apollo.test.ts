/** A real Apollo Server whose plugin applies the guard when the server starts. */

import { ApolloServer } from '@apollo/server';
import type { ApolloServerPlugin } from '@apollo/server';
import { buildClientSchema, getIntrospectionQuery, printSchema } from 'graphql';
import type { IntrospectionQuery } from 'graphql';
import { expect, test } from 'vitest';
import { applyGuard } from '../../src/directive/apply-guard.ts';
import { typeDefs } from '../../src/directive/type-defs.ts';

const own = /* GraphQL */ `
  type Query {
    hello: String
  }
  type Mutation {
    pay(cents: Int!): String! @idempotent(ttl: "P7D", ignore: ["cents"])
  }
`;
const resolvers = { Mutation: { pay: () => 'paid' } };

function guardPlugin(calls: string[]): ApolloServerPlugin {
  return {
    serverWillStart: async ({ schema }) => {
      applyGuard(schema, {
        owner: calls,
        describe: true,
        minTtl: { transactionMs: 30_000, leaseMs: 30_000 },
        wrap:
          ({ coordinate }, resolve) =>
          (...args) => {
            calls.push(coordinate);
            return resolve(...args);
          },
      });
    },
  };
}

async function singleResult(server: ApolloServer, query: string): Promise<Record<string, unknown>> {
  const { body } = await server.executeOperation({ query });
  if (body.kind !== 'single') throw new Error('An incremental response was not asked for.');
  return { ...body.singleResult };
}

test('a started server validates, executes and introspects with the client form', async () => {
  const calls: string[] = [];
  const server = new ApolloServer({
    typeDefs: [typeDefs, own],
    resolvers,
    introspection: true,
    plugins: [guardPlugin(calls)],
  });
  await server.start();
  try {
    const paid = await singleResult(server, 'mutation { pay(cents: 1) @idempotent(key: "k") }');
    expect(paid['data']).toEqual({ pay: 'paid' });
    expect(calls).toEqual(['Mutation.pay']);
    const refused = await singleResult(server, 'mutation { pay(cents: 1) @idempotent(mode: LEASE) }');
    expect(JSON.stringify(refused['errors'])).toMatch(/Unknown argument \\"mode\\"/);
    const { data } = await singleResult(server, getIntrospectionQuery());
    const served = printSchema(buildClientSchema(data as unknown as IntrospectionQuery));
    expect(served).toMatch(/key: String!\n\) on FIELD\n/);
    expect(served).not.toMatch(/IdempotencyMode|Duration/);
    expect(served).toMatch(/Requires an idempotency key/);
  } finally {
    await server.stop();
  }
});

test('a misplaced directive keeps a server from starting', async () => {
  const server = new ApolloServer({
    typeDefs: [typeDefs, own, 'extend type Query { bad: String @idempotent }'],
    resolvers,
    plugins: [guardPlugin([])],
  });
  await expect(server.start()).rejects.toThrow(/Query\.bad: @idempotent may stand only on/);
});
