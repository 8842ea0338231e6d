/** Servers that drain and stop. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startChild } from '../support/child.ts';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import { deferred, within } from '../support/signal.ts';
import { add, createAdditions, insert, serverOf } from './additions.ts';
import type { Additions } from './additions.ts';
import { expectRefusal } from './refusal.ts';

let additions: Additions;
beforeAll(async () => {
  additions = await createAdditions();
});
afterAll(() => additions.end());

let name: string;
let names = 0;
beforeEach(() => {
  name = `shutdown-${(names += 1)}`;
});

const instance = () => additions.instance(name);
const allClosed = () => additions.allClosed(name);

describe('a server that stops', () => {
  test('lets mutations in flight finish, and then closes', async () => {
    const idempotency = instance();
    const [inFlight, goOn] = [deferred(), deferred()];
    const server = serverOf(idempotency, {
      add: async (...parts) => {
        inFlight.resolve();
        await goOn.promise;
        return insert(...parts);
      },
    });
    await server.start();
    const adding = add(server, 'drained');
    await inFlight.promise;
    const stopping = server.stop();
    goOn.resolve();
    const added = await adding;
    expect(added).toEqual({ id: expect.any(Number), outcome: 'executed' });
    await stopping;
    await allClosed();
    const later = serverOf(idempotency);
    await later.start();
    expect(await add(later, 'drained')).toEqual({ id: added.id, outcome: 'replayed' });
    await later.stop();
  });

  test('rolls back what outlives the drain timeout, even if its resolver never settles', async () => {
    const idempotency = instance();
    const inFlight = deferred();
    const server = serverOf(idempotency, {
      add: async (...parts) => {
        await insert(...parts);
        inFlight.resolve();
        return deferred<number>().promise;
      },
    });
    await server.start();
    const before = await additions.count();
    const adding = add(server, 'cut-short');
    await inFlight.promise;
    const begun = performance.now();
    await within(server.stop());
    // Once for the drain, and not again for the close: drainTimeout is three seconds.
    expect(performance.now() - begun).toBeLessThan(5900);
    expect(await adding).toEqual({ code: 'IDEMPOTENCY_TRANSACTION_ABORTED' });
    await allClosed();
    expect(await additions.count()).toBe(before);
  });

  test('refuses what comes after, without running it', async () => {
    const { url } = await createDatabase({ migrated: true });
    const service = await startService({ databaseUrl: url });
    await service.idempotency.close();
    expectRefusal(await service.send({ key: 'late' }), 'STORE_UNAVAILABLE', 503);
    expect(service.runs()).toBe(0);
    await service.stop();
  });
});

test('SIGTERM lets a mutation in flight commit and answer before the process ends', async () => {
  const child = startChild({
    file: new URL('fixtures/terminated-server.ts', import.meta.url),
    env: { TEST_URL: additions.databaseUrl },
  });
  const { url } = await child.message<{ url: string }>((message) => 'url' in message);
  const answering = fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': 'terminated' },
    body: JSON.stringify({ query: 'mutation { add }' }),
  }).then((response) => response.json());
  await child.message<{ at: string }>(({ at }) => at === 'in flight');
  process.kill(child.pid, 'SIGTERM');
  await child.message<{ at: string }>(({ at }) => at === 'draining');
  child.send('go on');
  expect(await answering).toMatchObject({ data: { add: expect.any(Number) } });
  expect(await within(child.exited, { timeoutMs: 25_000 })).toEqual({ code: null, signal: 'SIGTERM' });
});
