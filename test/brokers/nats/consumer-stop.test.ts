/** A consumer that stops finishes what it has begun, and gives back the rest, without anybody waiting for ack_wait. */

import type { ReceivedMessage } from 'graphql-idempotency/nats';
import { beforeAll, expect, test } from 'vitest';
import { deferred, eventually, within } from '../../support/signal.ts';
import { jetStreamPublisher } from 'graphql-idempotency/nats';
import { consume, textOf } from './consume.ts';
import { eventFor, type NatsCase, startNatsCase } from './nats-case.ts';

let nats: NatsCase;
beforeAll(async () => {
  nats = await startNatsCase();
});

/** Far less than the 30 s after which the server would deliver them by itself. */
const SOON = { timeoutMs: 15_000 };

const sendOfOneKey = async (stream: string, ...payloads: readonly string[]): Promise<void> => {
  for (const payload of payloads) {
    const event = eventFor(`${stream}.in`, { key: 'k', payload: Buffer.from(payload) });
    await jetStreamPublisher({ js: nats.js }).publish([event]);
  }
};

/** A handler that says which messages it has begun, and ends them when it is told to. */
function gate() {
  const begun: string[] = [];
  const open = deferred();
  const handler = async (message: ReceivedMessage): Promise<void> => {
    begun.push(textOf(message));
    await open.promise;
  };
  return { begun, open: open.resolve, handler };
}

test('what is being handled is waited for and acknowledged, and what waits behind it goes to others', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await sendOfOneKey(stream, '1', '2', '3');
  const { begun, open, handler } = gate();
  const consumer = await consume(nats, stream, handler);
  const info = async () => nats.jsm.consumers.info(stream, 'worker');
  await eventually(async () => begun.length === 1 && (await info()).num_ack_pending === 3);
  let isStopped = false;
  const stopped = consumer.stop().then(() => (isStopped = true));
  await nats.connection.flush();
  expect(isStopped).toBe(false);
  open();
  await within(stopped, SOON);
  expect(begun).toEqual(['1']);
  const others: ReceivedMessage[] = [];
  await consume(nats, stream, (message) => void others.push(message));
  await eventually(async () => (await nats.unacknowledged(stream)) === 0, SOON);
  expect(others.map(textOf)).toEqual(['2', '3']);
});

test('what arrives while it stops is not begun, and goes to others', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, 'before');
  const { begun, open, handler } = gate();
  const consumer = await consume(nats, stream, handler);
  await eventually(() => begun.length === 1);
  const stopped = consumer.stop();
  await nats.send(stream, ...Array.from({ length: 20 }, (_, at) => `${at}`));
  open();
  await within(stopped, SOON);
  expect(begun).toEqual(['before']);
  const others: string[] = [];
  await consume(nats, stream, (message) => void others.push(textOf(message)));
  await eventually(async () => (await nats.unacknowledged(stream)) === 0, SOON);
  expect(others).toHaveLength(20);
});

test('a handler that takes too long is not waited for: its message goes to others', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, 'stuck');
  const { begun, open, handler } = gate();
  const consumer = await consume(nats, stream, handler, { stopTimeoutMs: 50 });
  await eventually(() => begun.length === 1);
  await within(consumer.stop(), SOON);
  const others: ReceivedMessage[] = [];
  await consume(nats, stream, (message) => void others.push(message));
  await eventually(() => others.length === 1, SOON);
  expect(others.map(textOf)).toEqual(['stuck']);
  await eventually(async () => (await nats.unacknowledged(stream)) === 0, SOON);
  // It may end after all: nothing comes of it any more.
  open();
});

test('a consumer that stops twice stops once, and one without messages at once', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  const consumer = await consume(nats, stream, () => {});
  expect(consumer.stop()).toBe(consumer.stop());
  await within(consumer[Symbol.asyncDispose](), SOON);
  await nats.send(stream, 'after');
  const others: ReceivedMessage[] = [];
  await consume(nats, stream, (message) => void others.push(message));
  await eventually(() => others.length === 1, SOON);
  expect(others[0]!.deliveries).toBe(1);
});

test('without its server a consumer stops as well', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, 'm');
  const { begun, open, handler } = gate();
  const consumer = await consume(nats, stream, handler, { stopTimeoutMs: 60_000 });
  await eventually(() => begun.length === 1);
  await nats.server.kill();
  const stopped = consumer.stop();
  open();
  await within(stopped, SOON);
  await nats.server.start();
});
