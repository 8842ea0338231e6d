/** Taking messages over, step by step: between the steps, others do what they do. */

import { redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import type { Redis } from 'ioredis';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { streamGroup } from '../../../src/brokers/redis-streams/stream-group.ts';
import type { StreamGroup } from '../../../src/brokers/redis-streams/stream-group.ts';
import { startRedisProxy } from '../../support/redis-proxy.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { eventOf, newStream, PATIENCE, startStreamCase } from './stream-case.ts';
import type { StreamCase } from './stream-case.ts';

let setting: StreamCase;

beforeAll(async () => {
  setting = await startStreamCase();
});

const NONE: ReadonlySet<string> = new Set();

function memberOf(consumer: string, writer: Redis = setting.peek): StreamGroup {
  return streamGroup({ reader: setting.peek, writer, group: 'g', consumer, claimIdleMs: 60_000 });
}

/** A stream whose messages have been had by a consumer that has been dead for long. */
async function abandoned(...payloads: readonly string[]): Promise<{ stream: string; ids: string[] }> {
  const stream = newStream();
  await redisStreamsPublisher({ redis: setting.peek, stream }).publish(payloads.map((one) => eventOf(one)));
  const dead = memberOf('dead');
  await dead.create(stream);
  const ids = (await dead.read([stream], 100)).map(({ id }) => id);
  await dead.hold(stream, ids, 60_000);
  return { stream, ids };
}

test('of two that find the same message, one gets it', async () => {
  const { stream, ids } = await abandoned('a');
  const first = memberOf('first');
  // Between its look and its claim, the first is quicker.
  const writer: Redis = Object.create(setting.peek, {
    xpending: {
      value: async (...command: [string, string]) => {
        const found = await setting.peek.xpending(...command);
        expect((await first.claim(stream, 10, NONE)).entries).toMatchObject([{ id: ids[0], deliveries: 2 }]);
        return found;
      },
    },
  }) as Redis;
  expect((await memberOf('second', writer).claim(stream, 10, NONE)).entries).toEqual([]);
  expect(await setting.pending(stream)).toMatchObject([{ consumer: 'first', deliveries: 2 }]);
});

test('no more are taken over than are asked for, none that is in hand, and it is said whether there may be more', async () => {
  const { stream, ids } = await abandoned('a', 'b', 'c', 'd');
  const member = memberOf('me');
  const some = await member.claim(stream, 2, new Set([ids[0]!]));
  expect(some).toMatchObject({ entries: [{ id: ids[1] }, { id: ids[2] }], full: true });
  expect(await member.claim(stream, 2, new Set([ids[0]!]))).toMatchObject({
    entries: [{ id: ids[3] }],
    full: false,
  });
  expect(await member.claim(stream, 2, new Set([ids[0]!]))).toEqual({ entries: [], full: false });
});

test('what was trimmed away is not taken over', async () => {
  const { stream, ids } = await abandoned('a', 'b');
  await setting.peek.xtrim(stream, 'MAXLEN', 1);
  expect((await memberOf('me').claim(stream, 10, NONE)).entries).toMatchObject([{ id: ids[1] }]);
});

test('a consumer does not take over from itself what it is still handling, though Redis had no sign of life', async () => {
  const stream = newStream();
  await redisStreamsPublisher({ redis: setting.peek, stream }).publish([eventOf('a')]);
  const proxy = await startRedisProxy({ target: setting.server.url });
  onTestFinished(() => proxy.close());
  const redis = setting.client({ port: Number(new URL(proxy.url).port) });
  const end = deferred();
  const consumer = setting.consume({ redis, stream, consumer: 'me', claimIdleMs: 1000 }, () => end.promise);
  await eventually(() => consumer.got.length === 1, PATIENCE);
  const [message] = await setting.pending(stream);
  const looks = (): number => proxy.counts().commands.filter((name) => /^xpending$/i.test(name)).length;
  const before = looks();
  // As after an outage: over and over, because its signs of life go on.
  await eventually(async () => {
    await setting.peek.xclaim(stream, 'g', 'me', 0, message!.id, 'IDLE', 60_000, 'JUSTID');
    return looks() >= before + 4;
  }, PATIENCE);
  expect(consumer.got).toHaveLength(1);
  expect(await setting.pending(stream)).toMatchObject([{ deliveries: 1 }]);
  end.resolve();
  await eventually(() => consumer.done.length === 1, PATIENCE);
});
