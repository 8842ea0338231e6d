/** The API: which mutation is guarded, and what its resolver calls. */

import type { GraphQLResolveInfo } from 'graphql';
import type { Context } from './context.ts';
import { idempotency, prisma } from './database.ts';
import type { NewOrder } from './orders.ts';
import { ordersOf, placeOrder } from './orders.ts';

export const typeDefs = `#graphql
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

export const resolvers = {
  Query: {
    orders: (_parent: unknown, _args: object, { user }: Context) => ordersOf(prisma, user),
  },
  Mutation: {
    placeOrder(_parent: unknown, order: NewOrder, { user }: Context, info: GraphQLResolveInfo) {
      const { client } = idempotency.current(info);
      return placeOrder(client, user, order);
    },
  },
};
