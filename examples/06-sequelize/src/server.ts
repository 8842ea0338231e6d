/** An API whose orders are safe to retry. */

import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import type { Context } from './context.ts';
import { contextOf } from './context.ts';
import { idempotency, sequelize } from './database.ts';
import { resolvers, typeDefs } from './schema.ts';
import { createTables } from './tables.ts';

const server = new ApolloServer<Context>({
  typeDefs: [idempotency.typeDefs, typeDefs],
  resolvers,
  plugins: [
    idempotency.plugin(),
    { serverWillStart: async () => ({ serverWillStop: () => sequelize.close() }) },
  ],
});

await createTables();
const { url } = await startStandaloneServer(server, {
  context: contextOf,
  listen: { host: '127.0.0.1', port: Number(process.env['PORT'] ?? 4000) },
});
console.log(`ready ${url}`);
