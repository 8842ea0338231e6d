/** From mutations that commit, or not, to one row for each that did: by way of a Redis that is killed meanwhile. */

import type { ReceivedMessage } from '../../../src/brokers/received-message.ts';
import { redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { expect, test } from 'vitest';
import { startOutboxCase } from '../../outbox/outbox-case.ts';
import { eventually } from '../../support/signal.ts';
import { PATIENCE, startStreamCase } from './stream-case.ts';

const CALLS = 120;

test('each committed event has one effect, and none that was rolled back, while Redis is killed again and again', async () => {
  const outbox = await startOutboxCase();
  const { idempotency } = outbox;
  const { server, client, consume, pending } = await startStreamCase({
    appendonly: 'yes',
    appendfsync: 'always',
  });
  await outbox.sql('create table ledger (message_id text not null, call int not null)');
  const redis = client();
  const relay = outbox.relay({
    publisher: redisStreamsPublisher({ redis }),
    batchSize: 10,
    maxAttempts: 1000,
  });
  relay.start();

  const unlucky = new Set<string>();
  const book = async (message: ReceivedMessage): Promise<void> => {
    await idempotency.inbox.process({ consumer: 'ledger', ...message }, async (tx) => {
      const { call } = JSON.parse(message.payload.toString()) as { call: number };
      await tx.query('insert into ledger (message_id, call) values ($1, $2)', [message.messageId, call]);
      if (call % 7 === 0 && !unlucky.has(message.messageId)) {
        unlucky.add(message.messageId);
        throw new Error('rolled back');
      }
    });
    // Committed, but not struck off: as if it died in between.
    if (message.deliveries === 1 && message.messageId.endsWith('0')) throw new Error('after the commit');
  };
  const options = { stream: 'payment.captured', redis, claimIdleMs: 2000 };
  const consumers = [consume(options, book), consume(options, book)];

  const ids = new Map<number, string>();
  for (let call = 0; call < CALLS; call += 1) {
    const rolledBack = call % 5 === 4;
    const charge = idempotency.guard({ scope: 'payer', key: `k${call}` }, ({ outbox: events }) => {
      const id = events.add({ topic: 'payment.captured', key: `payer-${call % 10}`, payload: { call } });
      if (rolledBack) throw new Error('no money');
      ids.set(call, id);
    });
    if (rolledBack) await expect(charge).rejects.toThrow('no money');
    else await charge;
    // When there has been something to lose, and there is more to come.
    if (call === 40 || call === 80) {
      await eventually(() => consumers.some(({ got }) => got.length > 0), PATIENCE);
      await server.kill();
      await server.start();
    }
  }

  const rows = async (): Promise<{ message_id: string; call: number }[]> =>
    outbox.sql('select message_id, call from ledger order by call');
  await eventually(async () => (await rows()).length >= ids.size, PATIENCE);
  await eventually(async () => (await outbox.rows()).length === 0, PATIENCE);
  await eventually(async () => (await pending('payment.captured')).length === 0, PATIENCE);
  expect(await rows()).toEqual([...ids].map(([call, id]) => ({ message_id: id, call })));
  expect(unlucky.size).toBeGreaterThan(0);
});
