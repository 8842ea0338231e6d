/** The server under load: one process, with and without the guard, over the same database and pool size. */

import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { createIdempotency } from 'graphql-idempotency';
import type { GraphQLResolveInfo } from 'graphql';
import { Pool } from 'pg';

/** Where the variants listen. */
export interface Ports {
  readonly postgres: number;
  readonly redis: number;
}

const POOL_SIZE = 10;
const INSERT = 'insert into payments (amount) values ($1) returning id, amount';
const databaseUrl = process.env['BENCH_DATABASE_URL']!;
const pool = new Pool({ connectionString: databaseUrl, max: POOL_SIZE });
pool.on('error', () => {});
await pool.query('create table if not exists payments (id serial primary key, amount integer not null)');

interface Arguments {
  readonly amount: number;
}

/** What anybody writes without this library. */
async function bare(_: unknown, { amount }: Arguments): Promise<unknown> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rows } = await client.query(INSERT, [amount]);
    await client.query('commit');
    return rows[0];
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

async function start(redis: string | false): Promise<number> {
  const idempotency = createIdempotency({
    scope: () => 'bench',
    postgres: databaseUrl,
    redis,
    migrate: true,
    poolSize: POOL_SIZE,
    logger: { info: () => {}, warn: console.warn, error: console.error },
  });
  const server = new ApolloServer({
    typeDefs: [
      idempotency.typeDefs,
      `type Query { ping: String }
       type Payment { id: ID! amount: Int! }
       type Mutation {
         bare(amount: Int!): Payment!
         pay(amount: Int!): Payment! @idempotent
         noop(amount: Int!): Int!
       }`,
    ],
    resolvers: {
      Mutation: {
        bare,
        noop: (_: unknown, { amount }: Arguments) => amount,
        pay: async (_: unknown, { amount }: Arguments, __: unknown, info: GraphQLResolveInfo) =>
          (await idempotency.current(info).tx.query(INSERT, [amount])).rows[0],
      },
    },
    plugins: [idempotency.plugin()],
  });
  const { url } = await startStandaloneServer(server, { listen: { port: 0, host: '127.0.0.1' } });
  return Number(new URL(url).port);
}

const ports: Ports = { postgres: await start(false), redis: await start(process.env['BENCH_REDIS_URL']!) };
process.send!(ports);
process.on('disconnect', () => process.exit());
