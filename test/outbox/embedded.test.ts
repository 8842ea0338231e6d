/** In the embedded database, which is one connection, events are added and relayed like anywhere. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdempotency } from 'graphql-idempotency';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/signal.ts';
import { payloadOf, QUICK } from './outbox-case.ts';

// An embedded database takes its time where the machine is busy.
test(
  'an attempt’s event is published by a relay in the same process, in order, and gone',
  { timeout: 90_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'outbox-'));
    const logger = { info: () => {}, warn: () => {}, error: () => {} };
    const idempotency = createIdempotency({
      scope: () => 'a',
      embedded: true,
      embeddedFolder: folder,
      redis: false,
      logger,
    });
    onTestFinished(async () => {
      await idempotency.close();
      await rm(folder, { recursive: true, force: true });
    });
    const published: unknown[] = [];
    const relay = idempotency.relay({
      ...QUICK,
      publish: (event) => published.push(payloadOf(event)),
      notify: true,
    });
    relay.start();
    for (let payload = 0; payload < 5; payload += 1) {
      await idempotency.guard({ scope: 'a', key: `k${payload}` }, ({ outbox }) => {
        outbox.add({ topic: 't', key: 'k', payload });
      });
    }
    const failed = idempotency.guard({ scope: 'a', key: 'failed' }, ({ outbox }) => {
      outbox.add({ topic: 't', payload: 'never' });
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    await eventually(() => published.length === 5);
    await relay.stop();
    expect(await relay.pending()).toMatchObject({ ready: 0, waiting: 0, parked: 0, dead: 0 });
    expect(published).toEqual([0, 1, 2, 3, 4]);
  },
);
