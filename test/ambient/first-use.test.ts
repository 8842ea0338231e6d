/** The first pool that joins, made when calls are under way that nobody keeps track of. */

import type { Pool } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import { deferred } from '../support/signal.ts';

test('a pool that is taken inside a call too late to join it says so, and writes nothing elsewhere', async () => {
  const { url } = await createDatabase({ migrated: true });
  let pool: Pool | undefined;
  const errors: unknown[] = [];
  const service = await startService({
    databaseUrl: url,
    pay: async ({ args, insert }) => {
      pool = service.idempotency.pool;
      await pool.query('insert into payments (amount) values ($1)', [args.amount]).catch((error: unknown) => {
        errors.push(error);
        throw error;
      });
      return insert();
    },
  });
  onTestFinished(() => service.stop());
  const first = await service.send({ key: 'a' });
  // The client need only send it again; the log says what to change.
  expect([first.status, first.code]).toEqual([503, 'IDEMPOTENCY_TRANSACTION_ABORTED']);
  expect(service.log.at(-1)?.facts).toMatchObject({ cause: errors[0] });
  expect(errors).toEqual([
    expect.objectContaining({ message: expect.stringContaining('where your modules load') }),
  ]);
  expect(await service.payments()).toEqual([]);
  // From here on every call is joined.
  expect((await service.send({ key: 'a' })).body.errors).toBeUndefined();
  expect(await service.payments()).toHaveLength(2);
});

test('what other code asks of it in that moment is refused, too: it may be that call’s', async () => {
  const { url } = await createDatabase({ migrated: true });
  const entered = deferred();
  const go = deferred();
  const service = await startService({
    databaseUrl: url,
    pay: async ({ insert }) => {
      entered.resolve();
      await go.promise;
      return insert();
    },
  });
  onTestFinished(() => service.stop());
  const answer = service.send({ key: 'a' });
  await entered.promise;
  const { pool } = service.idempotency;
  await expect((async () => pool.query('select 1'))()).rejects.toThrow(/where your modules load/);
  const { Client } = service.idempotency.driver;
  const client = new Client({ connectionString: url });
  await client.connect();
  await expect((async () => client.query('select 1'))()).rejects.toThrow(/where your modules load/);
  expect((await service.idempotency.outside(() => pool.query('select 1 as one'))).rows).toEqual([{ one: 1 }]);
  go.resolve();
  expect((await answer).code).toBeUndefined();
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await client.end();
});
