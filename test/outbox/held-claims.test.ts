/** What a relay has claimed is its own until the outbox has heard what became of it. */

import type { OutboxEvent } from 'graphql-idempotency';
import { beforeAll, expect, test } from 'vitest';
import { deferred, eventually } from '../support/signal.ts';
import { payloadOf, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;

beforeAll(async () => {
  setting = await startOutboxCase();
});

test('what is published is held like the rest of its batch: no other relay publishes it again', async () => {
  await setting.add({ payload: 'quick' }, { payload: 'slow' });
  const goOn = deferred();
  const relay = setting.relay({
    leaseMs: 3000,
    publish: async (event: OutboxEvent) => {
      if (payloadOf(event) === 'slow') await goOn.promise;
    },
  });
  relay.start();
  await eventually(() => relay.published.length === 1);
  const ends = async (): Promise<number[]> =>
    (
      await setting.sql<{ ms: number }>(
        `select extract(epoch from available_at)::double precision * 1000 as ms
         from graphql_idempotency.outbox order by position`,
      )
    ).map(({ ms }) => ms);
  const first = await ends();
  await eventually(async () => (await ends()).every((ms, at) => ms > first[at]!), { timeoutMs: 20_000 });
  const other = setting.relay();
  await other.drain();
  expect(other.tried).toEqual([]);
  goOn.resolve();
  await eventually(async () => (await setting.rows()).length === 0);
  expect(relay.tried).toHaveLength(2);
});
