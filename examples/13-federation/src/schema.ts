/** The subgraph: its SDL, with the definition of the directive beside it, and its resolvers. */

import { buildSubgraphSchema } from '@apollo/subgraph';
import type { GraphQLResolveInfo } from 'graphql';
import { parse } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { Context } from './context.ts';
import { pool } from './database.ts';
import type { NewOrder, Order } from './orders.ts';
import { orderOf, ordersOf, placeOrder } from './orders.ts';

export const idempotency = createIdempotency<Context>({
  scope: (context) => context.user,
  namespace: 'orders',
  postgres: pool,
  migrate: true,
});

const typeDefs = `#graphql
  extend schema
    @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@inaccessible"])

  type Order @key(fields: "id") {
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

  # What the arguments of @idempotent are made of is nothing for the clients of the supergraph.
  extend scalar Duration @inaccessible
  extend enum IdempotencyMode @inaccessible
  extend enum InFlightPolicy @inaccessible
  extend enum AbandonedPolicy @inaccessible
`;

const resolvers = {
  Order: {
    __resolveReference: ({ id }: Pick<Order, 'id'>, { user }: Context) => orderOf(user, id),
  },
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

export const schema = buildSubgraphSchema([
  { typeDefs: parse(idempotency.typeDefs) },
  { typeDefs: parse(typeDefs), resolvers },
]);
