/** A call that waits for its connection while the store closes. */

import { createIdempotency } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { add, createAdditions, insert, serverOf, silent } from '../apollo/additions.ts';
import type { Additions } from '../apollo/additions.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';

let additions: Additions;
beforeAll(async () => {
  additions = await createAdditions();
});
afterAll(() => additions.end());

test("does not run in the closed store, although the caller's own pool gives it the connection", async () => {
  const proxy = await startPostgresProxy({ target: additions.databaseUrl });
  const pool = new pg.Pool({ connectionString: proxy.url, max: 5 });
  pool.on('error', () => {});
  const idempotency = createIdempotency({
    scope: () => 'somebody',
    postgres: pool,
    redis: false,
    sweepInterval: 0,
    drainTimeout: 50,
    logger: silent,
  });
  let runs = 0;
  const server = serverOf(idempotency, {
    add: (...call) => {
      runs += 1;
      return insert(...call);
    },
  });
  await server.start();
  // The only idle connection is taken, so that the call needs a new one.
  const taken = await pool.connect();
  const held = proxy.on({ from: 'server', type: 'ReadyForQuery' }, 'hold');
  const adding = add(server, 'k').catch(() => undefined);
  await held.matched;
  await idempotency.close();
  held.release();
  await adding;
  expect(runs).toBe(0);
  taken.release();
  await pool.end();
  await proxy.close();
});
