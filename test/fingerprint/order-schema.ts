/** A schema with every kind of input that an operation can write in several ways. */

import { buildSchema } from 'graphql';

export const orderSchema = buildSchema(`
  scalar JSON
  enum Kind { PLAIN GIFT RETURN }
  input Item {
    sku: ID!
    quantity: Int! = 1
    price: Float
    tags: [String]
    kind: Kind = PLAIN
    note: String = "none"
    meta: JSON
    parts: [Item!] = []
  }
  type Order { id: ID, item: String }
  type Query { a: Int }
  type Mutation {
    order(item: Item!, rush: Boolean! = false, grid: [[Int]], comment: String): Order
    cancel(item: Item!, rush: Boolean! = false, grid: [[Int]], comment: String): Order
  }
`);
