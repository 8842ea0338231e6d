/** The server under load whose guarded mutation adds an event; beyond that, it is the one of `first.postgres`. */

import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { createIdempotency } from 'graphql-idempotency';
import type { GraphQLResolveInfo } from 'graphql';

const INSERT = 'insert into payments (amount) values ($1) returning id, amount';
const idempotency = createIdempotency({
  scope: () => 'bench-events',
  postgres: process.env['BENCH_DATABASE_URL']!,
  redis: false,
  migrate: true,
  poolSize: 10,
  logger: { info: () => {}, warn: console.warn, error: console.error },
});

interface Arguments {
  readonly amount: number;
}

const server = new ApolloServer({
  typeDefs: [
    idempotency.typeDefs,
    `type Query { ping: String }
     type Payment { id: ID! amount: Int! }
     type Mutation {
       pay(amount: Int!): Payment! @idempotent
     }`,
  ],
  resolvers: {
    Mutation: {
      async pay(_: unknown, { amount }: Arguments, __: unknown, info: GraphQLResolveInfo) {
        const { tx, outbox } = idempotency.current(info);
        const { rows } = await tx.query(INSERT, [amount]);
        outbox.add({ topic: 'payment.captured', payload: rows[0] });
        return rows[0] as unknown;
      },
    },
  },
  plugins: [idempotency.plugin()],
});
const { url } = await startStandaloneServer(server, { listen: { port: 0, host: '127.0.0.1' } });
process.send!(Number(new URL(url).port));
process.on('disconnect', () => process.exit());
