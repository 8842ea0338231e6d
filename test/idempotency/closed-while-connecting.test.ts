/** A call that waits for its connection while the store closes. */

import { createIdempotency } from 'graphql-idempotency';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { add, createAdditions, insert, serverOf, silent } from '../apollo/additions.ts';
import type { Additions } from '../apollo/additions.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { deferred } from '../support/signal.ts';

let additions: Additions;
beforeAll(async () => {
  additions = await createAdditions();
});
afterAll(() => additions.end());

test('does not run in the closed store, although it was given a connection', async () => {
  const proxy = await startPostgresProxy({ target: additions.databaseUrl });
  const idempotency = createIdempotency({
    scope: () => 'somebody',
    postgres: proxy.url,
    redis: false,
    sweepInterval: 0,
    drainTimeout: 50,
    logger: silent,
  });
  let runs = 0;
  const entered = deferred();
  const over = deferred();
  const server = serverOf(idempotency, {
    add: async (...call) => {
      runs += 1;
      entered.resolve();
      await over.promise;
      return insert(...call);
    },
  });
  await server.start();
  // The only idle connection is taken, so that the call needs a new one.
  const holding = add(server, 'holds').catch(() => undefined);
  await entered.promise;
  const held = proxy.on({ from: 'server', type: 'ReadyForQuery' }, 'hold');
  const adding = add(server, 'k').catch(() => undefined);
  await held.matched;
  const closing = idempotency.close();
  await holding;
  held.release();
  await Promise.all([adding, closing]);
  expect(runs).toBe(1);
  over.resolve();
  await proxy.close();
});
