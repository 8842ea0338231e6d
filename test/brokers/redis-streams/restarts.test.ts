/** A Redis that goes away and comes back, with what it had or without. */

import { redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { expect, test } from 'vitest';
import { deferred, eventually } from '../../support/signal.ts';
import { eventOf, PATIENCE, startStreamCase } from './stream-case.ts';
import type { StreamCase } from './stream-case.ts';

async function publish({ peek }: StreamCase, ...payloads: readonly string[]): Promise<void> {
  const publisher = redisStreamsPublisher({ redis: peek, stream: 's' });
  // A restart may be noticed only by the first that asks.
  for (const payload of payloads) {
    await eventually(async () => (await publisher.publish([eventOf(payload)]))[0] === undefined, PATIENCE);
  }
}

test('a Redis that is killed and keeps its file loses nothing, and what was being handled is struck off later', async () => {
  const setting = await startStreamCase({ appendonly: 'yes', appendfsync: 'always' });
  const { server, consume, pending } = setting;
  await publish(setting, 'a', 'slow', 'b');
  const end = deferred();
  const begun = deferred();
  const consumer = consume({ stream: 's', claimIdleMs: 60_000 }, async ({ payload }) => {
    if (payload.toString() !== 'slow') return;
    begun.resolve();
    await end.promise;
  });
  await begun.promise;
  await eventually(() => consumer.done.length === 2, PATIENCE);
  await eventually(async () => (await pending('s')).length === 1, PATIENCE);
  await server.kill();
  // Handled while Redis cannot be told.
  end.resolve();
  await eventually(() => consumer.done.length === 3, PATIENCE);
  await eventually(() => consumer.errors.length > 0, PATIENCE);
  await server.start();
  await eventually(async () => (await pending('s')).length === 0, PATIENCE);
  await publish(setting, 'c');
  await eventually(() => consumer.done.includes('c'), PATIENCE);
  expect(consumer.done.toSorted()).toEqual(['a', 'b', 'c', 'slow']);
  expect(consumer.got.map(({ deliveries }) => deliveries)).toEqual([1, 1, 1, 1]);
});

test('where Redis comes back empty, stream and group are made again', async () => {
  const setting = await startStreamCase();
  const { server, consume, pending } = setting;
  await publish(setting, 'a');
  const consumer = consume({ stream: 's' });
  await eventually(() => consumer.done.length === 1, PATIENCE);
  await server.kill();
  await server.start();
  await publish(setting, 'b');
  await eventually(() => consumer.done.length === 2, PATIENCE);
  await eventually(async () => (await pending('s')).length === 0, PATIENCE);
});

test('where everything is removed while a consumer waits, stream and group are made again', async () => {
  const setting = await startStreamCase();
  const { peek, consume } = setting;
  await publish(setting, 'a');
  const consumer = consume({ stream: 's' });
  await eventually(() => consumer.done.length === 1, PATIENCE);
  await eventually(async () => ((await peek.client('LIST')) as string).includes('cmd=xreadgroup'), PATIENCE);
  await peek.flushall();
  await publish(setting, 'b');
  await eventually(() => consumer.done.length === 2, PATIENCE);
});

test('a consumer that starts before Redis does reads as soon as it is there', async () => {
  const setting = await startStreamCase();
  const { server, consume } = setting;
  await server.kill();
  const consumer = consume({ stream: 's' });
  await eventually(() => consumer.errors.length > 0, PATIENCE);
  await server.start();
  await publish(setting, 'a');
  await eventually(() => consumer.done.length === 1, PATIENCE);
});
