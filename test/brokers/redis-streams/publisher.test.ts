import { redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { beforeAll, expect, test } from 'vitest';
import { startOutboxCase } from '../../outbox/outbox-case.ts';
import { eventually } from '../../support/signal.ts';
import { eventOf, newStream, PATIENCE, startStreamCase } from './stream-case.ts';
import type { StreamCase } from './stream-case.ts';

let setting: StreamCase;

beforeAll(async () => {
  setting = await startStreamCase();
});

const payloads = async (stream: string): Promise<(string | undefined)[]> =>
  (await setting.entries(stream)).map((fields) => fields.get('event-payload'));

test('an event is an entry with its bytes, its headers and its particulars, in the stream of its topic', async () => {
  const topic = newStream();
  const payload = Buffer.from([0, 255, 13, 10, 200]);
  const event = eventOf('x', {
    topic,
    payload,
    key: 'Zoë 1',
    headers: { 'content-type': 'a/b', payload: 'no' },
  });
  expect(await redisStreamsPublisher({ redis: setting.client() }).publish([event])).toEqual([undefined]);
  const [[, fields]] = (await setting.peek.xrangeBuffer(topic, '-', '+')) as [[Buffer, Buffer[]]];
  const at = fields.findIndex((field) => field.toString() === 'event-payload');
  expect(fields[at + 1]).toEqual(payload);
  expect(Object.fromEntries((await setting.entries(topic))[0]!)).toEqual({
    'content-type': 'a/b',
    payload: 'no',
    'event-id': 'id-of-x',
    'event-topic': topic,
    'event-key': 'Zo%C3%AB%201',
    'event-time': '2026-01-02T03:04:05.678Z',
    'event-payload': expect.any(String),
  });
});

test('events of one key are in the stream in the order in which they were added', async () => {
  const outbox = await startOutboxCase();
  const stream = newStream();
  const publisher = redisStreamsPublisher({ redis: setting.client(), stream });
  const added = Array.from({ length: 60 }, (_, at) => ({ key: `k${at % 3}`, payload: `${at % 3}:${at}` }));
  await outbox.add(...added);
  const relay = outbox.relay({ publisher, batchSize: 7 });
  expect(await relay.drain()).toMatchObject({ published: 60, failed: 0 });
  const got = (await payloads(stream)).map((payload) => JSON.parse(payload!) as string);
  for (const key of ['0:', '1:', '2:']) {
    expect(got.filter((payload) => payload.startsWith(key))).toEqual(
      added.map(({ payload }) => payload).filter((payload) => payload.startsWith(key)),
    );
  }
  expect(await outbox.rows()).toEqual([]);
});

test('an event that Redis refuses does no harm to the others of its call', async () => {
  const [good, bad, other] = [newStream(), newStream(), newStream()];
  await setting.peek.set(bad, 'no stream');
  const publisher = redisStreamsPublisher({ redis: setting.client() });
  const outcomes = await publisher.publish([good, bad, other].map((topic) => eventOf(topic, { topic })));
  expect(outcomes).toEqual([
    undefined,
    expect.objectContaining({ message: expect.stringMatching(/^WRONGTYPE/) }),
    undefined,
  ]);
  expect([await payloads(good), await payloads(other)]).toEqual([[good], [other]]);
});

test('an event for which there is no stream does no harm to the others of its call', async () => {
  const stream = newStream();
  const publisher = redisStreamsPublisher({
    redis: setting.client(),
    stream: ({ key }) => {
      if (key === 'throws') throw new Error('no stream for it');
      return key === 'none' ? '' : stream;
    },
  });
  const keys = ['throws', undefined, 'none', 'k'];
  const outcomes = await publisher.publish(keys.map((key) => eventOf(String(key), { key })));
  expect(outcomes).toEqual([
    new Error('no stream for it'),
    undefined,
    expect.objectContaining({ message: expect.stringContaining('returns the name of a stream') }),
    undefined,
  ]);
  expect(await payloads(stream)).toEqual(['undefined', 'k']);
});

test('a stream with a greatest length is trimmed about there', async () => {
  const stream = newStream();
  const publisher = redisStreamsPublisher({ redis: setting.client(), stream, maxLength: 100 });
  for (let round = 0; round < 10; round += 1) {
    await publisher.publish(Array.from({ length: 100 }, (_, at) => eventOf(`${at}`)));
  }
  const length = await setting.peek.xlen(stream);
  expect(length).toBeGreaterThanOrEqual(100);
  expect(length).toBeLessThan(400);
});

test('a client that is not connected yet is waited for', async () => {
  const stream = newStream();
  const lazy = redisStreamsPublisher({ redis: setting.client({ lazyConnect: true }), stream });
  const unqueued = redisStreamsPublisher({ redis: setting.client({ enableOfflineQueue: false }), stream });
  expect(await lazy.publish([eventOf('a')])).toEqual([undefined]);
  expect(await unqueued.publish([eventOf('b')])).toEqual([undefined]);
  expect(await payloads(stream)).toEqual(['a', 'b']);
});

test('while Redis is down a call fails at once, and nothing of it goes out later', async () => {
  const { server, client, entries } = await startStreamCase();
  const redis = client({ maxRetriesPerRequest: null, retryStrategy: () => 50 });
  const publisher = redisStreamsPublisher({ redis, stream: 's' });
  expect(await publisher.publish([eventOf('before')])).toEqual([undefined]);
  await server.kill();
  await eventually(() => redis.status !== 'ready', PATIENCE);
  for (let tries = 0; tries < 5; tries += 1) {
    await expect(publisher.publish([eventOf('during')])).rejects.toThrow('not connected');
  }
  await server.start();
  await eventually(() => redis.status === 'ready', PATIENCE);
  expect(await publisher.publish([eventOf('after')])).toEqual([undefined]);
  expect((await entries('s')).map((fields) => fields.get('event-payload'))).toEqual(['after']);
});

test.each([
  [{ redis: {} }, 'The option `redis` of redisStreamsPublisher() expects a client of ioredis.'],
  [{ maxlength: 3 }, 'Did you mean `maxLength`?'],
  [{ maxLength: 0 }, 'The option `maxLength` of redisStreamsPublisher() expects a whole number'],
  [{ stream: '' }, 'The option `stream` of redisStreamsPublisher() expects the name'],
])('an option that is wrong is refused: %j', (options, message) => {
  expect(() => redisStreamsPublisher({ redis: setting.peek, ...options } as never)).toThrow(message);
});

test('a client that would never tell that its connection broke is refused', () => {
  const options = { lazyConnect: true, autoResendUnfulfilledCommands: false, commandTimeout: undefined };
  expect(() => redisStreamsPublisher({ redis: setting.client(options as object) })).toThrow(
    'it needs a `commandTimeout`',
  );
  redisStreamsPublisher({ redis: setting.client({ ...(options as object), commandTimeout: 5000 }) });
  redisStreamsPublisher({ redis: setting.client({ ...(options as object), maxRetriesPerRequest: 0 }) });
});
