/** A payments API whose charges and payouts are safe to retry: GraphQL over HTTP on `PORT`, or 4000. */

import { readFile } from 'node:fs/promises';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import type { Context } from './context.ts';
import { contextOf } from './context.ts';
import { database } from './database.ts';
import { idempotency } from './idempotency.ts';
import { stopProvider } from './provider-client.ts';
import { resolvers } from './resolvers.ts';

const typeDefs = await readFile(new URL('schema.graphql', import.meta.url), 'utf8');

const server = new ApolloServer<Context>({
  typeDefs: [idempotency.typeDefs, typeDefs],
  resolvers,
  plugins: [idempotency.plugin()],
  includeStacktraceInErrorResponses: false,
  stopOnTerminationSignals: false,
});

const { url } = await startStandaloneServer(server, {
  context: contextOf,
  listen: { port: Number(process.env['PORT'] || 4000) },
});
console.log(`ready ${url}`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stop());
}

/** What is under way finishes, and then nothing is left that keeps the process alive. */
async function stop(): Promise<void> {
  await server.stop();
  await database.end();
  stopProvider();
}
