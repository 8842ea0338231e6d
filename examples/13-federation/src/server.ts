/** A subgraph whose orders are safe to retry, however often the router sends them. */

import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import type { Context } from './context.ts';
import { contextOf } from './context.ts';
import { createTables } from './database.ts';
import { idempotency, schema } from './schema.ts';

const server = new ApolloServer<Context>({ schema, plugins: [idempotency.plugin()] });

await createTables();
const { url } = await startStandaloneServer(server, {
  context: contextOf,
  listen: { host: '127.0.0.1', port: Number(process.env['PORT'] ?? 4000) },
});
console.log(`ready ${url}`);
