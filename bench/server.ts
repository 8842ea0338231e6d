/** The server under load: one process, with and without the guard, over the same database and pool size. */

import { createHash } from 'node:crypto';
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
/** Whether resolvers write through the pool that joins. A process of its own: keeping track costs everybody in it. */
const joins = process.env['BENCH_JOINS'] === 'true';
const INSERT = 'insert into payments (amount) values ($1) returning id, amount';
const databaseUrl = process.env['BENCH_DATABASE_URL']!;
const pool = new Pool({ connectionString: databaseUrl, max: POOL_SIZE });
pool.on('error', () => {});
await pool.query('create table if not exists payments (id serial primary key, amount integer not null)');

interface Context {
  readonly key: string | undefined;
}

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

await pool.query(
  'create table if not exists claims (key text primary key, request bytea not null, locked_until timestamptz not null, response json)',
);

/** What anybody writes by hand where the effect is elsewhere: a claim, the work, a completion, each committed. */
async function handwritten(source: unknown, args: Arguments, { key }: Context): Promise<unknown> {
  const request = createHash('sha256').update(JSON.stringify(args)).digest();
  const claimed = await pool.query(
    `insert into claims (key, request, locked_until) values ($1, $2, clock_timestamp() + interval '30 seconds')
     on conflict (key) do nothing`,
    [key, request],
  );
  if (claimed.rowCount !== 1) throw new Error('in progress');
  const result = await bare(source, args);
  await pool.query('update claims set response = $2 where key = $1', [key, JSON.stringify(result)]);
  return result;
}

async function start(redis: string | false): Promise<number> {
  const idempotency = createIdempotency<Context>({
    scope: () => 'bench',
    postgres: databaseUrl,
    redis,
    migrate: true,
    poolSize: POOL_SIZE,
    logger: { info: () => {}, warn: console.warn, error: console.error },
  });
  const joined = joins ? idempotency.pool : undefined;
  const server = new ApolloServer<Context>({
    typeDefs: [
      idempotency.typeDefs,
      `type Query { ping: String }
       type Payment { id: ID! amount: Int! }
       type Mutation {
         bare(amount: Int!): Payment!
         pay(amount: Int!): Payment! @idempotent
         payAndTell(amount: Int!): Payment! @idempotent
         handwritten(amount: Int!): Payment!
         wire(amount: Int!): Payment! @idempotent(mode: LEASE)
         noop(amount: Int!): Int!
       }`,
    ],
    resolvers: {
      Mutation: {
        bare,
        handwritten,
        wire: bare,
        noop: (_: unknown, { amount }: Arguments) => amount,
        pay: async (_: unknown, { amount }: Arguments, __: unknown, info: GraphQLResolveInfo) => {
          const { rows } = joined
            ? await joined.query(INSERT, [amount])
            : await idempotency.current(info).tx.query(INSERT, [amount]);
          return rows[0] as unknown;
        },
        payAndTell: async (_: unknown, { amount }: Arguments, __: unknown, info: GraphQLResolveInfo) => {
          const { tx, outbox } = idempotency.current(info);
          const { rows } = await tx.query(INSERT, [amount]);
          outbox.add({ topic: 'payment.captured', payload: rows[0] });
          return rows[0] as unknown;
        },
      },
    },
    plugins: [idempotency.plugin()],
  });
  const { url } = await startStandaloneServer(server, {
    context: async ({ req }) => ({ key: req.headers['idempotency-key'] as string | undefined }),
    listen: { port: 0, host: '127.0.0.1' },
  });
  return Number(new URL(url).port);
}

const ports: Ports = { postgres: await start(false), redis: await start(process.env['BENCH_REDIS_URL']!) };
process.send!(ports);
process.on('disconnect', () => process.exit());
