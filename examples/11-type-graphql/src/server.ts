/** An API whose orders are safe to retry: the plugin guards the fields that say so. */

import 'reflect-metadata';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { buildSchema } from 'type-graphql';
import type { Context } from './context.ts';
import { contextOf } from './context.ts';
import { idempotency } from './database.ts';
import { OrdersResolver } from './orders-resolver.ts';
import { createTables } from './tables.ts';

const server = new ApolloServer<Context>({
  schema: await buildSchema({ resolvers: [OrdersResolver] }),
  plugins: [idempotency.plugin()],
});

await createTables();
const { url } = await startStandaloneServer(server, {
  context: contextOf,
  listen: { host: '127.0.0.1', port: Number(process.env['PORT'] ?? 4000) },
});
console.log(`ready ${url}`);
