/** Messages outlive those who handle them, the server, and the consumer by which they are delivered. */

import { AckPolicy } from '@nats-io/jetstream';
import type { ReceivedMessage } from 'graphql-idempotency/nats';
import { beforeAll, expect, test } from 'vitest';
import { startChild } from '../../support/child.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { consume, textOf } from './consume.ts';
import { nanos, type NatsCase, startNatsCase } from './nats-case.ts';

let nats: NatsCase;
beforeAll(async () => {
  nats = await startNatsCase();
});

const PATIENCE = { timeoutMs: 30_000 };

test('the messages of a consumer that is killed come to another', async () => {
  const stream = await nats.stream();
  await nats.worker(stream, { ack_wait: nanos(5000) });
  await nats.send(stream, 'a', 'b', 'c');
  const child = startChild({
    file: new URL('consumer-process.ts', import.meta.url),
    args: [nats.server.url, stream],
  });
  for (const payload of ['a', 'b', 'c']) {
    await child.message<{ begun: string }>(({ begun }) => begun === payload, PATIENCE);
  }
  const got: ReceivedMessage[] = [];
  await consume(nats, stream, (message) => void got.push(message));
  expect(got).toEqual([]);
  await child.kill();
  await eventually(async () => (await nats.unacknowledged(stream)) === 0, PATIENCE);
  expect(got.map(textOf).toSorted()).toEqual(['a', 'b', 'c']);
});

test('a server that is killed and started again has every message handled', async () => {
  const stream = await nats.stream();
  await nats.worker(stream, { ack_wait: nanos(1000) });
  const payloads = Array.from({ length: 40 }, (_, at) => `${at}`);
  await nats.send(stream, ...payloads);
  const handled = new Set<string>();
  const begun = deferred();
  const release = deferred();
  await consume(
    nats,
    stream,
    async (message) => {
      if (handled.size >= 15) {
        begun.resolve();
        await release.promise;
      }
      handled.add(textOf(message));
    },
    { concurrency: 5 },
  );
  await begun.promise;
  await nats.server.kill();
  // Handled while there is nobody to be told so.
  release.resolve();
  await nats.server.start();
  await eventually(async () => (await nats.unacknowledged(stream)) === 0, PATIENCE);
  expect(handled.size).toBe(40);
});

test('a server that is frozen for a while is told of, and goes on', async () => {
  const stream = await nats.stream();
  await nats.worker(stream, { ack_wait: nanos(1000) });
  const told = deferred<unknown>();
  const got: string[] = [];
  await consume(nats, stream, (message) => void got.push(textOf(message)), { onError: told.resolve });
  await nats.send(stream, 'before');
  await eventually(() => got.length === 1);
  nats.server.freeze();
  expect((await told.promise) as Error).toMatchObject({ message: 'heartbeats missed' });
  nats.server.thaw();
  await nats.send(stream, 'after');
  await eventually(() => got.includes('after'), PATIENCE);
});

test('a consumer that is deleted is told of, and its successor is used as soon as it is fit', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  const told: string[] = [];
  const got: string[] = [];
  await consume(nats, stream, (message) => void got.push(textOf(message)), {
    onError: (error) => void told.push((error as Error).message),
  });
  await nats.send(stream, 'before');
  await eventually(() => got.length === 1);
  await nats.jsm.consumers.delete(stream, 'worker');
  await eventually(() => told.includes('consumer not found'), PATIENCE);
  await nats.worker(stream, { ack_policy: AckPolicy.None });
  await eventually(() => told.some((message) => /ack_policy "none"/.test(message)), PATIENCE);
  await nats.jsm.consumers.delete(stream, 'worker');
  await nats.worker(stream);
  await nats.send(stream, 'after');
  await eventually(() => got.includes('after'), PATIENCE);
  await eventually(async () => (await nats.unacknowledged(stream)) === 0, PATIENCE);
});

test('however long failed messages wait, the server is asked again soon', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  const told = deferred();
  const got: string[] = [];
  await consume(nats, stream, (message) => void got.push(textOf(message)), {
    onError: () => told.resolve(),
    // Too long to be over in this test, however small the share of it.
    backoffMs: 86_400_000,
    maxBackoffMs: 86_400_000,
  });
  await nats.jsm.consumers.delete(stream, 'worker');
  await told.promise;
  await nats.worker(stream);
  await nats.send(stream, 'after');
  await eventually(() => got.includes('after'), PATIENCE);
});

test('a stream that was made again counts from 1 again: its first message is not taken for the old one', async () => {
  const stream = await nats.stream();
  await nats.worker(stream);
  await nats.send(stream, 'old');
  const begun: string[] = [];
  const release = deferred();
  await consume(nats, stream, async (message) => {
    begun.push(textOf(message));
    if (textOf(message) === 'old') await release.promise;
  });
  await eventually(() => begun.length === 1);
  await nats.jsm.streams.delete(stream);
  await nats.jsm.streams.add({ name: stream, subjects: [`${stream}.>`] });
  await nats.worker(stream);
  await nats.send(stream, 'new');
  await eventually(async () => (await nats.unacknowledged(stream)) === 0, PATIENCE);
  expect(begun).toEqual(['old', 'new']);
  release.resolve();
});
