/** A payments API whose charges and payouts are safe to retry: GraphQL over HTTP on `PORT`, or 4000. */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer';
import { expressMiddleware } from '@as-integrations/express5';
import express from 'express';
import { checkout } from './checkout/checkout.ts';
import type { Context } from './context.ts';
import { contextOf } from './context.ts';
import { database } from './database.ts';
import { idempotency } from './idempotency.ts';
import { stopProvider } from './provider-client.ts';
import { startRelay } from './relay.ts';
import { resolvers } from './resolvers.ts';
import { makeTrouble } from './trouble.ts';

const typeDefs = await readFile(new URL('schema.graphql', import.meta.url), 'utf8');
const app = express().disable('x-powered-by').disable('etag');
const httpServer = createServer(app);

const server = new ApolloServer<Context>({
  typeDefs: [idempotency.typeDefs, typeDefs],
  resolvers,
  plugins: [idempotency.plugin(), ApolloServerPluginDrainHttpServer({ httpServer })],
  includeStacktraceInErrorResponses: false,
  stopOnTerminationSignals: false,
});
await server.start();
const relay = startRelay();

app.use('/checkout', checkout);
app.use(makeTrouble, express.json({ limit: '50mb' }), expressMiddleware(server, { context: contextOf }));

httpServer.listen(Number(process.env['PORT'] || 4000));
await once(httpServer, 'listening');
const url = `http://localhost:${(httpServer.address() as AddressInfo).port}/`;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stop());
}
console.error(`A page to look at: ${url}checkout`);
console.log(`ready ${url}`);

/** What is under way finishes, and then nothing is left that keeps the process alive. */
async function stop(): Promise<void> {
  await server.stop();
  await relay.stop();
  await database.end();
  stopProvider();
}
