/** The API: which mutation is guarded, and what its resolver calls. */

import type { Context } from './context.ts';
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
    orders: (_parent: unknown, _args: object, { user }: Context) => ordersOf(user),
  },
  Mutation: {
    placeOrder: (_parent: unknown, order: NewOrder, { user }: Context) => placeOrder(user, order),
  },
};
