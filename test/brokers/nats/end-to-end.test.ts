/** From calls that commit, by way of the outbox, a relay and JetStream, to a table: none is missing, and none invented. */

import { jetStreamPublisher } from 'graphql-idempotency/nats';
import type { ReceivedMessage } from 'graphql-idempotency/nats';
import { beforeAll, expect, test } from 'vitest';
import { startOutboxCase } from '../../outbox/outbox-case.ts';
import type { OutboxCase } from '../../outbox/outbox-case.ts';
import { eventually } from '../../support/signal.ts';
import { consume, textOf } from './consume.ts';
import { nanos, type NatsCase, startNatsCase } from './nats-case.ts';

let nats: NatsCase;
let setting: OutboxCase;
beforeAll(async () => {
  [nats, setting] = await Promise.all([startNatsCase(), startOutboxCase()]);
});

const PATIENCE = { timeoutMs: 40_000 };

test('through a server that is killed, handlers that fail, and a consumer that stops', async () => {
  const { idempotency } = setting;
  const stream = await nats.stream();
  await nats.worker(stream, { ack_wait: nanos(1500) });
  await setting.sql('create table ledger (message_id text primary key, entry text not null)');

  const relay = setting.relay({
    publisher: jetStreamPublisher({ js: nats.js, timeoutMs: 500 }),
    batchSize: 8,
    maxAttempts: 1000,
  });
  relay.start();

  let handled = 0;
  const enter = async (message: ReceivedMessage): Promise<void> => {
    handled += 1;
    if (message.deliveries === 1 && handled % 5 === 0) throw new Error('first delivery');
    await setting.sql('insert into ledger (message_id, entry) values ($1, $2) on conflict do nothing', [
      message.messageId,
      textOf(message),
    ]);
  };
  const first = await consume(nats, stream, enter, { concurrency: 4 });
  await consume(nats, stream, enter, { concurrency: 4 });

  const committed: string[] = [];
  const charge = async (at: number): Promise<void> => {
    const payload = { charge: at };
    const fails = at % 5 === 4;
    const call = idempotency.guard({ scope: 'payer', key: `charge-${at}` }, ({ outbox }) => {
      const id = outbox.add({ topic: `${stream}.captured`, key: `account-${at % 7}`, payload });
      if (fails) throw new Error('rolled back');
      return id;
    });
    if (fails) await expect(call).rejects.toThrow();
    else committed.push((await call).value);
  };
  for (let at = 0; at < 60; at += 1) {
    await charge(at);
    if (at === 20) await nats.server.kill();
    if (at === 30) await nats.server.start();
    if (at === 40) void first.stop();
  }

  await eventually(async () => (await setting.rows()).length === 0, PATIENCE);
  await eventually(async () => (await nats.unacknowledged(stream)) === 0, PATIENCE);
  const entries = await setting.sql<{ message_id: string; entry: string }>(
    'select message_id, entry from ledger',
  );
  expect(committed).toHaveLength(48);
  expect(entries.map(({ message_id: id }) => id).toSorted()).toEqual(committed.toSorted());
  expect(new Set(entries.map(({ entry }) => entry)).size).toBe(48);
});
