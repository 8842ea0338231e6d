/** An API whose orders are safe to retry: the directive in the SDL, the plugin in the server. */

import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import type { GraphQLResolveInfo } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { Context } from './context.ts';
import { contextOf } from './context.ts';
import { createTables, pool } from './database.ts';
import type { NewOrder } from './orders.ts';
import { ordersOf, placeOrder } from './orders.ts';

const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  postgres: pool,
  migrate: true,
});

const typeDefs = `#graphql
  type Order {
    id: ID!
    product: String!
    quantity: Int!
    points: Int!
  }

  type Query {
    orders: [Order!]!
  }

  type Mutation {
    placeOrder(product: String!, quantity: Int!): Order! @idempotent
  }
`;

const resolvers = {
  Query: {
    orders: (_parent: unknown, _args: object, { user }: Context) => ordersOf(user),
  },
  Mutation: {
    placeOrder(_parent: unknown, order: NewOrder, { user }: Context, info: GraphQLResolveInfo) {
      const { tx } = idempotency.current(info);
      return placeOrder(tx, user, order);
    },
  },
};

const server = new ApolloServer<Context>({
  typeDefs: [idempotency.typeDefs, typeDefs],
  resolvers,
  plugins: [idempotency.plugin()],
});

await createTables();
const { url } = await startStandaloneServer(server, {
  context: contextOf,
  listen: { host: '127.0.0.1', port: Number(process.env['PORT'] ?? 4000) },
});
console.log(`ready ${url}`);
