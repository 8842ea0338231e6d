/** An API whose orders are safe to retry. */

import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import type { Context } from './context.ts';
import { contextOf } from './context.ts';
import { createTables } from './create-tables.ts';
import { idempotency } from './database.ts';
import { resolvers, typeDefs } from './schema.ts';

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
