/** What Postgres finds wrong only at COMMIT: a retry would find the same, so it is not asked for one. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Service } from '../support/service.ts';

let service: Service;
let thrown: unknown;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  service = await startService({
    databaseUrl: url,
    typeDefs: `extend type Mutation {
      keyed(orphan: Boolean!): Int @idempotent
      open(orphan: Boolean!): Int @idempotent(required: false)
      leased(orphan: Boolean!): Int @idempotent(mode: LEASE)
    }`,
    resolvers: (idempotency) => {
      const { pool } = idempotency;
      const insert = async (_: unknown, { orphan }: { orphan: boolean }) => {
        await pool.query('insert into children (parent) values ($1)', [orphan ? 2 : 1]);
        return 1;
      };
      const leased = (_: unknown, args: { orphan: boolean }, __: unknown, info: never) =>
        idempotency
          .current(info)
          .step.transaction('book', () => insert(_, args))
          .catch((error: { extensions: unknown }) => {
            thrown = error.extensions;
            throw error;
          });
      return { Mutation: { keyed: insert, open: insert, leased } };
    },
  });
  const { pool } = service.idempotency;
  await pool.query('create table parents (id integer primary key)');
  await pool.query('insert into parents values (1)');
  await pool.query('create table children (parent integer references parents deferrable initially deferred)');
});
afterAll(() => service.stop());

test.each(['keyed', 'open'])(
  '%s: the transaction is broken, and the client need not retry',
  async (field) => {
    const send = (orphan: boolean, key: string) =>
      service.send({
        query: `mutation { ${field}(orphan: ${orphan}) }`,
        ...(field === 'open' ? {} : { key }),
      });
    const reply = await send(true, 'a');
    expect([reply.status, reply.code]).toEqual([500, 'IDEMPOTENCY_TRANSACTION_BROKEN']);
    expect(reply.body.errors[0].extensions.retryable).toBe(false);
    expect((await send(false, 'b')).body.data).toEqual({ [field]: 1 });
  },
);

test('a step of LEASE mode', async () => {
  const send = (orphan: boolean, key: string) =>
    service.send({ query: `mutation { leased(orphan: ${orphan}) }`, key });
  // The outcome of the whole is not known by one step of it, but the step says what went wrong.
  expect((await send(true, 'c')).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(thrown).toMatchObject({ code: 'IDEMPOTENCY_TRANSACTION_BROKEN', retryable: false });
  expect((await send(false, 'd')).body.data).toEqual({ leased: 1 });
  const { rows } = await service.idempotency.pool.query('select parent from children');
  expect(rows).toEqual([{ parent: 1 }, { parent: 1 }, { parent: 1 }]);
});
