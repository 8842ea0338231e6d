import { consumeRedisStream, redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import type { RedisStreamConsumerOptions } from 'graphql-idempotency/redis-streams';
import { beforeAll, expect, test } from 'vitest';
import { deferred, eventually } from '../../support/signal.ts';
import type { Deferred } from '../../support/signal.ts';
import { eventOf, newStream, PATIENCE, startStreamCase } from './stream-case.ts';
import type { StreamCase } from './stream-case.ts';

let setting: StreamCase;

beforeAll(async () => {
  setting = await startStreamCase();
});

async function publish(stream: string, ...events: readonly (string | { payload: string; key: string })[]) {
  const publisher = redisStreamsPublisher({ redis: setting.peek, stream });
  await publisher.publish(
    events.map((event) =>
      typeof event === 'string' ? eventOf(event) : eventOf(event.payload, { key: event.key }),
    ),
  );
}

test('a message is what was published', async () => {
  const topic = newStream();
  const payload = Buffer.from([0, 255, 13, 10, 200]);
  const event = eventOf('x', {
    topic,
    payload,
    key: 'Zoë %1',
    headers: { 'content-type': 'a/b', own: 'yes' },
  });
  await redisStreamsPublisher({ redis: setting.peek }).publish([event]);
  const consumer = setting.consume({ stream: topic });
  await eventually(() => consumer.done.length === 1, PATIENCE);
  expect(consumer.got).toEqual([
    {
      messageId: event.id,
      topic,
      key: 'Zoë %1',
      payload,
      headers: { 'content-type': 'a/b', own: 'yes', 'event-time': '2026-01-02T03:04:05.678Z' },
      deliveries: 1,
    },
  ]);
});

test('a message is struck off only when its handler has resolved', async () => {
  const stream = newStream();
  await publish(stream, 'a');
  const committed = deferred();
  const consumer = setting.consume({ stream }, () => committed.promise);
  await eventually(() => consumer.got.length === 1, PATIENCE);
  expect(await setting.pending(stream)).toHaveLength(1);
  committed.resolve();
  await eventually(async () => (await setting.pending(stream)).length === 0, PATIENCE);
  expect(consumer.got).toHaveLength(1);
});

test('a message whose handler fails comes again, as a further delivery, and others go on', async () => {
  const stream = newStream();
  await publish(stream, 'bad', 'a', 'b');
  let failures = 0;
  const consumer = setting.consume({ stream, claimIdleMs: 1000, concurrency: 1 }, ({ payload }) => {
    if (payload.toString() === 'bad' && (failures += 1) < 4) throw new Error('not yet');
  });
  await eventually(() => consumer.done.length === 3, PATIENCE);
  expect(consumer.got.filter(({ payload }) => payload.toString() === 'bad')).toMatchObject(
    [1, 2, 3, 4].map((deliveries) => ({ messageId: 'id-of-bad', deliveries })),
  );
  expect(consumer.errors).toEqual(Array.from({ length: 3 }, () => new Error('not yet')));
  await eventually(async () => (await setting.pending(stream)).length === 0, PATIENCE);
});

test('a failed message waits in Redis, so that any consumer takes it when it is due', async () => {
  const stream = newStream();
  await publish(stream, 'a');
  const first = setting.consume(
    { stream, consumer: 'first', claimIdleMs: 60_000, backoffMs: 0 },
    async () => {
      // So that it is not there any more when the message is due.
      void first.stop();
      throw new Error('no');
    },
  );
  await eventually(() => first.errors.length === 1, PATIENCE);
  await first.stop();
  expect(await setting.pending(stream)).toMatchObject([{ consumer: 'first', deliveries: 1 }]);
  const second = setting.consume({ stream, claimIdleMs: 60_000 });
  await eventually(() => second.done.length === 1, PATIENCE);
  expect(second.got).toMatchObject([{ deliveries: 2 }]);
});

test('messages of one key are handled one after the other, others beside them, and no more are taken than fit', async () => {
  const stream = newStream();
  const open = new Map<string, Deferred<void>>();
  await publish(
    stream,
    { payload: 'a1', key: 'a' },
    { payload: 'a2', key: 'a' },
    { payload: 'b1', key: 'b' },
    { payload: 'b2', key: 'b' },
  );
  const consumer = setting.consume({ stream, concurrency: 3 }, async ({ payload }) => {
    const end = deferred();
    open.set(payload.toString(), end);
    await end.promise;
  });
  const begun = (): string[] => consumer.got.map(({ payload }) => payload.toString());
  await eventually(() => begun().length === 2, PATIENCE);
  expect(begun()).toEqual(['a1', 'b1']);
  expect(await setting.pending(stream)).toHaveLength(3);
  open.get('a1')!.resolve();
  await eventually(() => begun().length === 3, PATIENCE);
  expect(begun()).toEqual(['a1', 'b1', 'a2']);
  await eventually(async () => (await setting.pending(stream)).length === 3, PATIENCE);
  expect(begun()).toEqual(['a1', 'b1', 'a2']);
  open.get('b1')!.resolve();
  await eventually(() => begun().length === 4, PATIENCE);
  for (const end of open.values()) end.resolve();
  await eventually(() => consumer.done.length === 4, PATIENCE);
});

test('several streams are read by turns, and no more messages are taken of them than fit', async () => {
  const streams = [newStream(), newStream(), newStream()];
  const open: Deferred<void>[] = [];
  const consumer = setting.consume({ streams, concurrency: 2 }, async () => {
    const end = deferred();
    open.push(end);
    await end.promise;
  });
  for (const stream of streams) await publish(stream, `${stream}-1`, `${stream}-2`);
  for (let ended = 0; ended < 6; ended += 1) {
    await eventually(() => open.length > ended, PATIENCE);
    const pending = await Promise.all(streams.map((stream) => setting.pending(stream)));
    expect(pending.flat().length).toBeLessThanOrEqual(2);
    open[ended]!.resolve();
  }
  await eventually(() => consumer.done.length === 6, PATIENCE);
  expect(consumer.done.toSorted()).toEqual(streams.flatMap((stream) => [`${stream}-1`, `${stream}-2`]));
});

test('where very many messages wait because they have failed, no further ones are read', async () => {
  const stream = newStream();
  await publish(stream, ...Array.from({ length: 3000 }, (_, at) => `${at}`));
  const day = 86_400_000;
  const failing = setting.consume(
    { stream, backoffMs: day, maxBackoffMs: day, claimIdleMs: day, concurrency: 50 },
    () => {
      throw new Error('down');
    },
  );
  await eventually(() => failing.errors.length >= 1000, PATIENCE);
  // Long enough to read them all.
  const other = setting.consume({ stream, group: 'other', concurrency: 50 });
  await eventually(() => other.done.length === 3000, PATIENCE);
  expect(failing.errors.length).toBeLessThan(1100);
});

test('a message of others goes by its stream and its entry, and its fields are its payload', async () => {
  const streams = [newStream(), newStream()];
  for (const stream of streams) await setting.peek.xadd(stream, '1-1', 'amount', '5', 'for', 'me');
  await setting.peek.xadd(
    streams[0]!,
    '1-2',
    'event-payload',
    'half of ours',
    'event-key',
    '%zz',
    'event-id',
    '',
  );
  const consumer = setting.consume({ streams });
  await eventually(() => consumer.done.length === 3, PATIENCE);
  const got = consumer.got.map((message) => ({ ...message, payload: message.payload.toString() }));
  const headers = { 'content-type': 'application/json' };
  const payload = '{"amount":"5","for":"me"}';
  const [first, second] = streams as [string, string];
  expect(got.toSorted((a, b) => (a.messageId < b.messageId ? -1 : 1))).toEqual([
    { messageId: `${first}/1-1`, topic: first, key: undefined, payload, headers, deliveries: 1 },
    {
      messageId: `${first}/1-2`,
      topic: first,
      key: '%zz',
      payload: 'half of ours',
      headers: {},
      deliveries: 1,
    },
    { messageId: `${second}/1-1`, topic: second, key: undefined, payload, headers, deliveries: 1 },
  ]);
});

test('what was published before the group was made is read as well', async () => {
  const stream = newStream();
  await publish(stream, 'before');
  const consumer = setting.consume({ stream });
  await eventually(() => consumer.done.length === 1, PATIENCE);
  const other = setting.consume({ stream, group: 'other' });
  await eventually(() => other.done.length === 1, PATIENCE);
});

test.each([
  ['a prefix for keys', { keyPrefix: 'app:' }],
  ['answers in the form of RESP3', { replyMapping: 'resp3' }],
  ['numbers as texts', { stringNumbers: true }],
  [
    'no queue, one try and pipelines of its own',
    { enableOfflineQueue: false, enableAutoPipelining: true, maxRetriesPerRequest: 0 },
  ],
  ['RESP2', { protocol: 2 }],
] as const)('a client with %s is as good as any other', async (_, options) => {
  const streams = [newStream(), newStream()];
  const redis = setting.client(options as object);
  const publisher = redisStreamsPublisher({ redis, stream: ({ key }) => key! });
  await publisher.publish(streams.map((key) => eventOf(key, { key })));
  let failed = false;
  const consumer = setting.consume({ redis, streams, claimIdleMs: 1000 }, () => {
    if (failed) return;
    failed = true;
    throw new Error('once');
  });
  await eventually(() => consumer.done.length === 2, PATIENCE);
  expect(consumer.got.map(({ deliveries }) => deliveries).toSorted((a, b) => a - b)).toEqual([1, 1, 2]);
  expect(consumer.errors).toEqual([new Error('once')]);
  await consumer.stop();
  const names = await redis.xinfo('CONSUMERS', streams[0]!, 'g');
  expect(names).toEqual([]);
  expect(await redis.ping()).toBe('PONG');
});

test('that a stream cannot be read is told, and it is read as soon as it can be', async () => {
  const stream = newStream();
  await setting.peek.set(stream, 'no stream');
  const consumer = setting.consume({ stream });
  await eventually(() => consumer.errors.length > 0, PATIENCE);
  expect(String(consumer.errors[0])).toContain('WRONGTYPE');
  await setting.peek.del(stream);
  await publish(stream, 'a');
  await eventually(() => consumer.done.length === 1, PATIENCE);
});

test.each<[Partial<Record<keyof RedisStreamConsumerOptions | 'consumers', unknown>>, string]>([
  [{ redis: 'redis://' }, 'The option `redis` of consumeRedisStream() expects a client of ioredis.'],
  [{ streams: ['a'] }, 'expects either `stream` or `streams`'],
  [{ stream: undefined }, 'expects either `stream` or `streams`'],
  [{ stream: undefined, streams: [] }, 'The option `streams` of consumeRedisStream() expects a list'],
  [{ stream: 7 }, 'The option `stream` of consumeRedisStream() expects the name'],
  [{ group: '' }, 'The option `group` of consumeRedisStream() expects a name'],
  [{ consumer: 3 }, 'The option `consumer` of consumeRedisStream() expects a name'],
  [{ consumers: 3 }, 'Did you mean `consumer`?'],
  [{ claimIdleMs: 5 }, 'The option `claimIdleMs` of consumeRedisStream() expects a whole number from 100'],
  [{ batchSize: 0 }, 'The option `batchSize` of consumeRedisStream() expects a whole number from 1'],
  [{ claimIdleMs: 5000, maxBackoffMs: 5001 }, 'must not exceed `claimIdleMs`'],
  [
    { redis: { isCluster: true, duplicate: () => {} }, stream: undefined, streams: ['a', 'b'] },
    'expects one stream in a cluster',
  ],
])('an option that is wrong is refused: %o', (options, message) => {
  const wrong = { redis: setting.peek, stream: 's', group: 'g', ...options } as RedisStreamConsumerOptions;
  expect(() => consumeRedisStream(wrong, () => {})).toThrow(message);
});

test('without a handler it is refused', () => {
  expect(() =>
    consumeRedisStream({ redis: setting.peek, stream: 's', group: 'g' }, undefined as never),
  ).toThrow('expects a handler');
});
