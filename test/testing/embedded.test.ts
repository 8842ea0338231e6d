/** On the embedded database, whose one session cannot be ended. */

import { ApolloServer } from '@apollo/server';
import type { GraphQLResolveInfo } from 'graphql';
import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency } from 'graphql-idempotency';
import { verifyIdempotency } from 'graphql-idempotency/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { removeFolder, temporaryFolder } from '../support/janitor.ts';

let folder: string;
let idempotency: Idempotency<object>;
let server: ApolloServer;
let write: (info: GraphQLResolveInfo) => Promise<unknown>;

beforeAll(async () => {
  folder = await temporaryFolder('verify');
  idempotency = createIdempotency<object>({
    scope: () => 'anybody',
    embedded: true,
    embeddedFolder: folder,
    redis: false,
    logger: { info() {}, warn() {}, error() {} },
  });
  server = new ApolloServer({
    typeDefs: [
      idempotency.typeDefs,
      'type Query { ping: String } type Mutation { note: String @idempotent }',
    ],
    resolvers: {
      Mutation: {
        note: async (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) => {
          await write(info);
          return 'noted';
        },
      },
    },
    plugins: [idempotency.plugin()],
  });
  await server.start();
  await idempotency.pool.query('create table notes (body text)');
}, 120_000);
afterAll(async () => {
  await server.stop();
  removeFolder(folder);
});

const effects = async (): Promise<{ notes: number }> => {
  const { rows } = await idempotency.pool.query<{ notes: number }>(
    'select count(*)::int as notes from notes',
  );
  return rows[0]!;
};
const verify = () => verifyIdempotency({ server, operation: 'mutation { note }', effects, settleMs: 10 });

test('the other faults are tried, and the report says why this one was not', async () => {
  write = (info) => idempotency.current(info).tx.query(`insert into notes values ('x')`);
  expect(await verify()).toMatchObject({
    field: 'Mutation.note',
    effects: { notes: 1 },
    scenarios: [
      { name: 'retry after success', outcome: 'passed' },
      { name: 'two at once', outcome: 'passed' },
      {
        name: 'transaction killed at commit',
        outcome: 'skipped',
        reason: 'this database does not end the session of an attempt',
      },
      { name: 'thrown error', outcome: 'passed' },
    ],
  });
});

test('a write outside the attempt is caught all the same', async () => {
  write = (info) => {
    // Behind the attempt, which has the only connection.
    void idempotency.outside(() => idempotency.pool.query(`insert into notes values ('outside')`));
    return idempotency.current(info).tx.query(`insert into notes values ('x')`);
  };
  await expect(verify()).rejects.toThrow(
    /^Mutation\.note: `notes` happened although the mutation had failed \(thrown error\), and once more with the retry: it is doubled \(3 instead of 2\)/,
  );
});
