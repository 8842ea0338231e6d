/** Objects that submit themselves, as cursors and streams do: they learn in their own way that they cannot run. */

import { once } from 'node:events';
import pg from 'pg';
import type { Pool } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';

let service: Service;
let pool: Pool;
let url: string;
let act: (call: PayCall) => unknown;

beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
  service = await startService({ databaseUrl: url, pay: (call) => act(call) });
  pool = service.idempotency.pool;
});
afterAll(() => service.stop());

async function outcomeOf(query: InstanceType<typeof pg.Query>, submit: () => unknown): Promise<unknown> {
  const failed = once(query, 'error');
  expect(submit()).toBe(query);
  return (await failed)[0];
}

test('whoever submits one to a client gets it back, and it gets the error', async () => {
  act = async ({ insert }) => {
    const client = await pool.connect();
    const query = new pg.Query('select 1');
    expect(await outcomeOf(query, () => client.query(query))).toMatchObject({
      message: expect.stringMatching(/cursors and streams/),
    });
    client.release();
    return insert();
  };
  expect((await service.send({ key: 'submitted' })).body.errors).toBeUndefined();
});

test('so it is for a client with a connection of its own', async () => {
  const own = new service.idempotency.driver.Client({ connectionString: url });
  await own.connect();
  act = async ({ insert }) => {
    const query = new pg.Query('select 1');
    expect(await outcomeOf(query, () => own.query(query))).toMatchObject({
      message: expect.stringMatching(/cursors and streams/),
    });
    return insert();
  };
  expect((await service.send({ key: 'submitted-own' })).body.errors).toBeUndefined();
  await own.end();
});
