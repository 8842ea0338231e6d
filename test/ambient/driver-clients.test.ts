/** What the clients of `idempotency.driver` do with what libraries send on connections that are their own. */

import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Reply, Service } from '../support/service.ts';

let service: Service;
let client: Client;
let act: () => Promise<void>;
let keys = 0;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  const pay = async (_call: PayCall) => {
    await act();
    return { id: '1', amount: 1 };
  };
  service = await startService({ databaseUrl: url, pay });
  client = new service.idempotency.driver.Client({ connectionString: url });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await service.stop();
});
beforeEach(() => client.query('truncate payments'));

function inside(work: () => Promise<void>): Promise<Reply> {
  act = work;
  return service.send({ key: `driver-${(keys += 1)}` });
}

const amounts = async (): Promise<number[]> => (await service.payments()).map(({ amount }) => amount);

test.each([
  'set search_path to public; insert into payments (amount) values (1)',
  'insert into payments (amount) values (1); reset lock_timeout',
  `/* first */ SET TIME ZONE 'UTC'; with paid as (insert into payments (amount) values (1) returning id) select from paid`,
])('what writes and also sets is part of the attempt: %s', async (text) => {
  await inside(async () => {
    await client.query(text);
    throw new Error('no');
  });
  expect(await amounts()).toEqual([]);
  expect((await inside(async () => void (await client.query(text)))).code).toBeUndefined();
  expect(await amounts()).toEqual([1]);
});

test('what only sets is for the connection of the client', async () => {
  await inside(async () => {
    await client.query(`set application_name to 'mine'; set lock_timeout = '7s';`);
    throw new Error('no');
  });
  const { rows } = await client.query(
    `select current_setting('application_name') as name, current_setting('lock_timeout') as timeout`,
  );
  expect(rows).toEqual([{ name: 'mine', timeout: '7s' }]);
});

test.each([
  'set transaction isolation level read uncommitted',
  'SET TRANSACTION ISOLATION LEVEL READ COMMITTED;',
  'set transaction read write, not deferrable',
])('a transaction may be told what it is: %s', async (text) => {
  const reply = await inside(async () => {
    await client.query('start transaction');
    expect((await client.query(text)).command).toBe('SET');
    await client.query('insert into payments (amount) values (2)');
    await client.query('rollback');
    await client.query('insert into payments (amount) values (3)');
  });
  expect(reply.code).toBeUndefined();
  expect(await amounts()).toEqual([3]);
});
