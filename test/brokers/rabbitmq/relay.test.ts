/** From the outbox through RabbitMQ into a table: nothing is missing, whatever is lost on the way. */

import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { payloadOf, startOutboxCase } from '../../outbox/outbox-case.ts';
import type { OutboxCase } from '../../outbox/outbox-case.ts';
import { eventually } from '../../support/signal.ts';
import { cut, event, numbered, outcomesOf, startRabbitCase } from './rabbit-case.ts';
import type { RabbitCase } from './rabbit-case.ts';

let rabbit: RabbitCase;
let setting: OutboxCase;

beforeAll(async () => {
  [rabbit, setting] = await Promise.all([startRabbitCase(), startOutboxCase()]);
  await setting.sql('create table ledger (id uuid primary key, amount integer not null)');
});

const PATIENCE = { timeoutMs: 40_000 };
const QUORUM = { 'x-queue-type': 'quorum' };

// Classic queues: RabbitMQ 3.10 loses a quorum queue that was just declared when its only node is killed.
test('what was confirmed outlives kill -9, and publisher and consumer go on after the restart', async () => {
  const queue = await rabbit.queue();
  const consumed = await rabbit.queue();
  const publisher = rabbit.publisher();
  const seen = new Set<string>();
  rabbit.consume({ queue: consumed, maxBackoffMs: 50 }, ({ messageId }) => seen.add(messageId));
  const before = event(consumed);
  const events = [...numbered(queue, 50), before];
  expect(await outcomesOf(publisher, events)).toEqual(events.map(() => true));
  await eventually(() => seen.has(before.id));
  await rabbit.server.kill();
  // Until it is heard that the connection is gone, an event is sent over that, and is not confirmed.
  await eventually(() => expect(publisher.publish([event(consumed)])).rejects.toThrow('ECONNREFUSED'));
  await rabbit.server.start();
  const after = event(consumed);
  expect(await outcomesOf(publisher, [after])).toEqual([true]);
  await eventually(() => seen.has(after.id), PATIENCE);
  const left = (await rabbit.take(queue)).map(({ content }) => Number(content));
  expect(left).toEqual(Array.from({ length: 50 }, (_, at) => at));
}, 120_000);

test('events of a key arrive in their order, through relays side by side', async () => {
  const queue = await rabbit.queue();
  const keys = ['a', 'b', 'c'];
  for (let payload = 0; payload < 15; payload += 1) {
    await Promise.all(keys.map((key) => setting.add({ topic: queue, key, payload })));
  }
  const relays = [3, 10].map((batchSize) =>
    setting.relay({ batchSize, publisher: rabbit.publisher(), topics: [queue] }),
  );
  for (const relay of relays) relay.start();
  await eventually(async () => (await setting.rows()).length === 0, PATIENCE);
  const arrived = (await rabbit.take(queue)).map(({ content, properties }) => ({
    key: properties.headers?.['event-key'] as string,
    payload: payloadOf({ payload: content }) as number,
  }));
  for (const key of keys) {
    const ofKey = arrived.filter((one) => one.key === key).map(({ payload }) => payload);
    expect(ofKey).toEqual(Array.from({ length: 15 }, (_, at) => at));
  }
});

test('while connections are lost all the time, every committed event is booked once, and no other', async () => {
  const queue = await rabbit.queue(QUORUM);
  const failed: unknown[] = [];
  const relay = setting.relay({
    publisher: rabbit.publisher(),
    topics: [queue],
    batchSize: 5,
    maxAttempts: 1000,
    onError: (error) => failed.push(error),
  });
  relay.start();
  let copies = 0;
  const consumer = rabbit.consume({ queue }, async ({ messageId, payload }) => {
    copies += 1;
    await setting.sql('insert into ledger (id, amount) values ($1, $2) on conflict do nothing', [
      messageId,
      payloadOf({ payload }) as number,
    ]);
  });
  const committed: string[] = [];
  for (let n = 0; n < 120; n += 1) {
    const call = setting.idempotency.guard({ scope: `${queue}-${n}`, key: 'k' }, ({ outbox }) => {
      const id = outbox.add({ topic: queue, payload: n });
      if (n % 5 === 4) throw new Error('rolled back');
      return id;
    });
    await call.then(
      ({ value }) => committed.push(value),
      () => {},
    );
    if (n % 10 === 9) for (const connection of rabbit.connections) cut(connection);
  }
  const booked = async (): Promise<string[]> =>
    (await setting.sql<{ id: string }>('select id from ledger')).map(({ id }) => id);
  await eventually(async () => (await booked()).length >= committed.length, PATIENCE);
  await eventually(async () => (await setting.rows()).length === 0, PATIENCE);
  await consumer.stop();
  expect(committed).toHaveLength(96);
  expect((await booked()).toSorted()).toEqual(committed.toSorted());
  expect(copies).toBeGreaterThanOrEqual(96);
  expect(failed.length).toBeGreaterThan(0);
});

test('events that wait while the broker is silent are published when it is back', async () => {
  const queue = await rabbit.queue();
  const errors: string[] = [];
  const relay = setting.relay({
    publisher: rabbit.publisher({ confirmTimeoutMs: 500 }),
    topics: [queue],
    maxAttempts: 1000,
    onError: (error) => errors.push(String(error)),
  });
  await setting.add({ topic: queue }, { topic: queue });
  rabbit.freeze();
  relay.start();
  onTestFinished(() => relay.stop());
  await eventually(() => errors.length > 3);
  rabbit.server.thaw();
  await eventually(async () => (await setting.rows()).length === 0, PATIENCE);
  expect(errors.every((error) => error.includes('500 ms'))).toBe(true);
  expect(
    new Set((await rabbit.take(queue)).map(({ properties }) => properties.messageId as string)).size,
  ).toBe(2);
});
