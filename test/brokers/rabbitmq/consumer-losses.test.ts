/** A consumer that has lost its queue is not long without it. */

import { beforeAll, expect, test } from 'vitest';
import { deferred, eventually } from '../../support/signal.ts';
import { event, startRabbitCase } from './rabbit-case.ts';
import type { RabbitCase } from './rabbit-case.ts';

let rabbit: RabbitCase;

beforeAll(async () => {
  rabbit = await startRabbitCase();
});

test('however long failed messages wait, a lost queue is asked for again soon', async () => {
  const queue = await rabbit.queue();
  const told = deferred();
  const got: string[] = [];
  // Too long to be over in this test, however small the share of it.
  const waits = { backoffMs: 86_400_000, maxBackoffMs: 86_400_000 };
  rabbit.consume({ queue, ...waits, onError: () => told.resolve() }, ({ messageId }) => {
    got.push(messageId);
  });
  await eventually(() =>
    rabbit.admin(async (channel) => (await channel.checkQueue(queue)).consumerCount === 1),
  );
  await rabbit.admin((channel) => channel.deleteQueue(queue));
  await told.promise;
  await rabbit.admin((channel) => channel.assertQueue(queue, { durable: true }));
  const sent = event(queue);
  expect(await rabbit.publisher().publish([sent])).toEqual([undefined]);
  await eventually(() => got.length === 1, { timeoutMs: 20_000 });
  expect(got).toEqual([sent.id]);
});
