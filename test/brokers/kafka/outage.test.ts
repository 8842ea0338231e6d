/** A Kafka that is gone, or does not answer: nothing leaves the outbox, and all of it is published afterwards. */

import { kafkaPublisher } from 'graphql-idempotency/kafka';
import { expect, test } from 'vitest';
import { startOutboxCase } from '../../outbox/outbox-case.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { startKafkaCase } from './kafka-case.ts';

const kafka = await startKafkaCase();
const IMPATIENT = { initialRetryTime: 10, maxRetryTime: 20, retries: 1 };

test('while the broker is gone events fail and stay in the outbox; once it is back they are published', async () => {
  const setting = await startOutboxCase();
  const client = kafka.client({ retry: IMPATIENT });
  const publisher = kafkaPublisher({ producer: await kafka.producer({}, client) });
  await setting.add({ topic: 'before' });
  const failed = deferred();
  setting.relay({ publisher, maxAttempts: 1_000_000, onError: () => failed.resolve() }).start();
  await eventually(async () => (await setting.rows()).length === 0, { what: 'the first event is published' });

  await kafka.kill();
  const ids = await setting.add(
    { topic: 'after', key: 'k' },
    { topic: 'after', key: 'k' },
    { topic: 'after' },
  );
  await failed.promise;
  expect((await setting.rows()).map(({ event_id }) => event_id)).toEqual(ids);

  await kafka.start();
  await eventually(async () => (await setting.rows()).length === 0, {
    what: 'the outbox is empty',
    timeoutMs: 20_000,
  });
  const entries = await kafka.read('after');
  expect(new Set(entries.map(({ headers }) => headers['event-id']))).toEqual(new Set(ids));
  const keyed = entries.filter(({ key }) => key === 'k').map(({ headers }) => headers['event-id']);
  expect(keyed.lastIndexOf(ids[0])).toBeLessThan(keyed.indexOf(ids[1]));
});

test('an event whose answer never came is published again, under the same id', async () => {
  const setting = await startOutboxCase();
  const client = kafka.client({ requestTimeout: 1000, retry: { ...IMPATIENT, retries: 0 } });
  const producer = await kafka.producer({}, client);
  // So that its connections are there, and it knows the topic.
  await eventually(() => producer.send({ topic: 'frozen', messages: [{ value: 'first' }] }));
  const failed = deferred<string>();
  const publisher = kafkaPublisher({ producer });
  const onError = (error: unknown): void => failed.resolve((error as Error).message);
  kafka.freeze();
  const [id] = await setting.add({ topic: 'frozen', payload: 'event' });
  setting.relay({ publisher, maxAttempts: 1_000_000, onError }).start();
  expect(await failed.promise).toContain('timed out');
  expect(await setting.rows()).toMatchObject([{ event_id: id }]);
  kafka.thaw();
  await eventually(async () => (await setting.rows()).length === 0, {
    what: 'the outbox is empty',
    timeoutMs: 20_000,
  });
  const events = (await kafka.read('frozen')).filter(({ payload }) => payload !== 'first');
  expect(events.length).toBeGreaterThan(1);
  expect(new Set(events.map(({ headers }) => headers['event-id']))).toEqual(new Set([id]));
});

test('a producer that its owner has disconnected has events fail', async () => {
  const setting = await startOutboxCase();
  const producer = await kafka.producer();
  await producer.disconnect();
  await setting.add({ topic: 'closed' });
  setting.relay({ publisher: kafkaPublisher({ producer }), maxAttempts: 1 }).start();
  await eventually(async () => (await setting.rows())[0]?.state === 'dead', { what: 'a dead letter' });
  expect(await setting.rows()).toMatchObject([{ last_error: 'The producer is disconnected' }]);
});
