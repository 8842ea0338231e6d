/** A message is answered when its handler has resolved, and comes again until then. */

import { consumeRabbitQueue } from 'graphql-idempotency/rabbitmq';
import type { RabbitQueueConsumerOptions } from 'graphql-idempotency/rabbitmq';
import { beforeAll, expect, test } from 'vitest';
import type { ReceivedMessage } from '../../../src/brokers/received-message.ts';
import { startChild } from '../../support/child.ts';
import { deferred, eventually } from '../../support/signal.ts';
import type { Deferred } from '../../support/signal.ts';
import { cut, event, numbered, startRabbitCase } from './rabbit-case.ts';
import type { RabbitCase } from './rabbit-case.ts';

let rabbit: RabbitCase;

beforeAll(async () => {
  rabbit = await startRabbitCase();
});

const QUORUM = { 'x-queue-type': 'quorum' };
const send = async (...events: ReturnType<typeof event>[]): Promise<void> => {
  const outcomes = await rabbit.publisher().publish(events);
  expect(outcomes).toEqual(events.map(() => undefined));
};
const textOf = ({ payload }: ReceivedMessage): string => payload.toString();
const payload = (text: string): { payload: Buffer } => ({ payload: Buffer.from(text) });

const consumers = (queue: string, count: number): Promise<boolean> =>
  rabbit.admin(async (channel) => (await channel.checkQueue(queue)).consumerCount === count);

/** A handler whose calls wait until the test lets them end. */
function held() {
  const calls: (Deferred<void> & { readonly message: ReceivedMessage })[] = [];
  const handler = (message: ReceivedMessage): Promise<void> => {
    const call = Object.assign(deferred(), { message });
    calls.push(call);
    return call.promise;
  };
  return { calls, handler, count: (n: number) => eventually(() => calls.length === n) };
}

test('a message comes with all that the publisher gave it', async () => {
  const queue = await rabbit.queue();
  const { calls, handler, count } = held();
  const sent = event(queue, { key: 'Zürich/1', headers: { 'content-type': 'text/plain', trace: 'ä' } });
  await send(sent);
  rabbit.consume({ queue }, handler);
  await count(1);
  expect(calls[0]!.message).toEqual({
    messageId: sent.id,
    topic: queue,
    key: 'Zürich/1',
    payload: sent.payload,
    headers: { 'content-type': 'text/plain', trace: 'ä', 'event-time': sent.createdAt.toISOString() },
    deliveries: 1,
  });
  calls[0]!.resolve();
});

test('it is acknowledged when the handler has resolved, and not before', async () => {
  const queue = await rabbit.queue();
  const { calls, handler, count } = held();
  await send(event(queue));
  const consumer = rabbit.consume({ queue, stopTimeoutMs: 0 }, handler);
  await count(1);
  await consumer.stop();
  expect(await rabbit.depth(queue)).toBe(1);
  const next = held();
  const other = rabbit.consume({ queue }, next.handler);
  await next.count(1);
  // Too late: its channel is gone.
  calls[0]!.resolve();
  next.calls[0]!.resolve();
  await other.stop();
  expect(await rabbit.depth(queue)).toBe(0);
});

test.each([
  ['classic', {}],
  ['quorum', QUORUM],
])('one that fails comes again, and says how often, from a %s queue', async (_, declaration) => {
  const queue = await rabbit.queue(declaration);
  const deliveries: number[] = [];
  const others: string[] = [];
  const errors: unknown[] = [];
  await send(...['a', 'bad', 'b'].map((text) => event(queue, payload(text))));
  const consumer = rabbit.consume({ queue, onError: (error) => errors.push(error) }, (message) => {
    if (textOf(message) !== 'bad') return others.push(textOf(message));
    deliveries.push(message.deliveries);
    if (deliveries.length < 4) throw new Error('not yet');
    return undefined;
  });
  await eventually(() => deliveries.length === 4 && others.length === 2);
  await consumer.stop();
  expect(deliveries).toEqual([1, 2, 3, 4]);
  expect(others.toSorted()).toEqual(['a', 'b']);
  expect(errors.map(String)).toEqual(Array.from({ length: 3 }, () => 'Error: not yet'));
  expect(await rabbit.depth(queue)).toBe(0);
});

test('those of a key are handled one after the other, others beside them', async () => {
  const queue = await rabbit.queue();
  const { calls, handler, count } = held();
  await send(
    event(queue, { key: 'k', ...payload('k1') }),
    event(queue, { key: 'k', ...payload('k2') }),
    event(queue, payload('x')),
  );
  rabbit.consume({ queue }, handler);
  await count(2);
  expect(calls.map(({ message }) => textOf(message))).toEqual(['k1', 'x']);
  calls[0]!.resolve();
  await count(3);
  for (const { resolve } of calls) resolve();
});

test('no more are handled at once than the consumer may', async () => {
  const queue = await rabbit.queue();
  const { calls, handler, count } = held();
  await send(...numbered(queue, 5));
  rabbit.consume({ queue, concurrency: 2 }, handler);
  await count(2);
  expect(await rabbit.depth(queue)).toBe(3);
  for (let done = 0; done < 5; done += 1) {
    await count(Math.min(done + 2, 5));
    calls[done]!.resolve();
  }
});

// Without a limit, a quorum queue puts what comes back at its end.
test.each([
  ['classic', {}],
  ['quorum', { ...QUORUM, 'x-delivery-limit': 100 }],
])('one at a time, what fails is not overtaken, in a %s queue', async (_, declaration) => {
  const queue = await rabbit.queue(declaration);
  const handled: string[] = [];
  await send(...numbered(queue, 12, { key: 'k' }));
  const consumer = rabbit.consume({ queue, concurrency: 1 }, (message) => {
    if (message.deliveries < 3 && Number(textOf(message)) % 3 === 0) throw new Error('not yet');
    handled.push(textOf(message));
  });
  await eventually(() => handled.length === 12);
  await consumer.stop();
  expect(handled).toEqual(Array.from({ length: 12 }, (__, at) => `${at}`));
});

// Each channel counts its messages from 1: said on the new channel, the answer to the first message of the lost one
// would take away the message that is being handled again, and lose it if that fails.
test('an answer to a message of a lost connection is never given on the next', async () => {
  const queue = await rabbit.queue();
  const { calls, handler, count } = held();
  await send(event(queue));
  rabbit.consume({ queue }, handler);
  await count(1);
  cut(rabbit.connections.at(-1));
  await count(2);
  calls[0]!.resolve();
  await calls[0]!.promise;
  // Behind that answer on the same channel, if it had been given there.
  await send(event(queue, payload('later')));
  await count(3);
  calls[2]!.resolve();
  calls[1]!.reject(new Error('the second try'));
  await count(4);
  expect(calls[3]!.message.messageId).toBe(calls[0]!.message.messageId);
  calls[3]!.resolve();
});

// It has come again by then, here or to another consumer: handled from the old list as well, it would be done twice.
test('what waits for its turn when the connection is lost is not handled from there', async () => {
  const queue = await rabbit.queue({ 'x-single-active-consumer': true });
  const { calls, handler, count } = held();
  await send(...numbered(queue, 2, { key: 'k' }));
  const consumer = rabbit.consume({ queue }, handler);
  await count(1);
  // The next in line gets both when the first is lost.
  const other = held();
  rabbit.consume({ queue }, other.handler);
  await eventually(() => consumers(queue, 2));
  cut(rabbit.connections.at(-2));
  await other.count(1);
  calls[0]!.resolve();
  await consumer.stop();
  expect(calls.map(({ message }) => textOf(message))).toEqual(['0']);
  other.calls[0]!.resolve();
  await other.count(2);
  expect(other.calls.map(({ message }) => textOf(message))).toEqual(['0', '1']);
  other.calls[1]!.resolve();
});

test('a message without an id is refused, and lies with the dead letters', async () => {
  const graveyard = await rabbit.queue();
  const queue = await rabbit.queue({
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': graveyard,
  });
  const errors: string[] = [];
  const { calls, handler, count } = held();
  rabbit.consume({ queue, onError: (error) => errors.push(String(error)) }, handler);
  await rabbit.admin(async (channel) => {
    channel.sendToQueue(queue, Buffer.from('of somebody'));
    channel.sendToQueue(queue, Buffer.from('with an id'), { messageId: 'theirs', headers: { n: 1, s: 'x' } });
  });
  await count(1);
  expect(calls[0]!.message).toMatchObject({ messageId: 'theirs', topic: queue, key: undefined });
  expect(calls[0]!.message.headers).toEqual({ s: 'x' });
  calls[0]!.resolve();
  await eventually(async () => (await rabbit.depth(graveyard)) === 1);
  expect(errors).toEqual([`Error: A message of the queue "${queue}" has no id, and was refused.`]);
});

test('a missing queue is named, and consumed once it is there; so is one that is deleted', async () => {
  const queue = `made-later`;
  const errors: string[] = [];
  const { calls, handler, count } = held();
  rabbit.consume({ queue, onError: (error) => errors.push(String(error)) }, handler);
  await eventually(() => errors.length > 0);
  expect(errors[0]).toMatch(/The queue "made-later" cannot be consumed: .*404.*no queue 'made-later'/);
  await rabbit.admin((channel) => channel.assertQueue(queue));
  await send(event(queue));
  await count(1);
  calls[0]!.resolve();
  errors.length = 0;
  await rabbit.admin((channel) => channel.deleteQueue(queue));
  await eventually(() => errors.length > 0);
  expect(errors[0]).toBe(
    'Error: The queue "made-later" is not consumed any more: The broker has cancelled the consumer.',
  );
  await rabbit.admin((channel) => channel.assertQueue(queue));
  await send(event(queue));
  await count(2);
  calls[1]!.resolve();
});

test('stopping waits for what is being handled, begins nothing, and gives the rest back at once', async () => {
  const queue = await rabbit.queue();
  const { calls, handler, count } = held();
  await send(...numbered(queue, 3, { key: 'k' }), event(queue, payload('failing')));
  const failing = deferred();
  const consumer = rabbit.consume({ queue, backoffMs: 60_000_000, maxBackoffMs: 60_000_000 }, (message) => {
    if (textOf(message) !== 'failing') return handler(message);
    failing.resolve();
    throw new Error('waits for long');
  });
  await count(1);
  await failing.promise;
  const stopping = consumer.stop();
  await send(event(queue, payload('later')));
  calls[0]!.resolve();
  await Promise.all([stopping, consumer.stop()]);
  expect(calls).toHaveLength(1);
  const left = await rabbit.take(queue);
  expect(left.map(({ content }) => content.toString()).toSorted()).toEqual(['1', '2', 'failing', 'later']);
});

test('what a killed consumer held comes to another', async () => {
  const queue = await rabbit.queue(QUORUM);
  await send(...numbered(queue, 3));
  const child = startChild({
    file: new URL('consumer-process.ts', import.meta.url),
    args: [rabbit.server.url, queue],
  });
  for (let at = 0; at < 3; at += 1) await child.message(() => true, { timeoutMs: 30_000 });
  expect(await rabbit.depth(queue)).toBe(0);
  await child.kill();
  const { calls, handler, count } = held();
  rabbit.consume({ queue }, handler);
  await count(3);
  expect(calls.map(({ message }) => textOf(message)).toSorted()).toEqual(['0', '1', '2']);
  for (const { resolve } of calls) resolve();
});

test('an option that is wrong is named', () => {
  const connect = (): Promise<never> => Promise.reject(new Error('unused'));
  const wrong: [object, RegExp][] = [
    [{ queue: 'q' }, /`connect` of consumeRabbitQueue\(\) expects a function/],
    [{ connect, queue: '' }, /`queue` .* expects a name/],
    [{ connect, queue: 'q', quorum: true }, /no option `quorum`/],
    [{ connect, queue: 'q', concurrency: 0 }, /`concurrency` .* whole number/],
  ];
  for (const [options, message] of wrong) {
    expect(() => consumeRabbitQueue(options as RabbitQueueConsumerOptions, () => {})).toThrow(message);
  }
});
