/** What a consumer leaves behind when it is stopped. */

import { redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { beforeAll, expect, test } from 'vitest';
import { streamGroup } from '../../../src/brokers/redis-streams/stream-group.ts';
import { deferred, eventually, within } from '../../support/signal.ts';
import { eventOf, newStream, PATIENCE, startStreamCase } from './stream-case.ts';
import type { StreamCase } from './stream-case.ts';

let setting: StreamCase;

beforeAll(async () => {
  setting = await startStreamCase();
});

/** So late that nothing would be taken over within a test. */
const NEVER = { claimIdleMs: 86_400_000 };

async function publish(stream: string, ...payloads: readonly string[]): Promise<void> {
  const publisher = redisStreamsPublisher({ redis: setting.peek, stream });
  await publisher.publish(payloads.map((payload) => eventOf(payload, { key: 'k' })));
}

test('stop waits for what is being handled, begins nothing more, and gives that to others at once', async () => {
  const stream = newStream();
  await publish(stream, 'a', 'b', 'c');
  const end = deferred();
  const first = setting.consume({ stream, ...NEVER, consumer: 'first' }, () => end.promise);
  await eventually(async () => (await setting.pending(stream)).length === 3, PATIENCE);
  await eventually(() => first.got.length === 1, PATIENCE);
  let stopped = false;
  const stopping = first.stop().then(() => {
    stopped = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(stopped).toBe(false);
  end.resolve();
  await within(stopping, PATIENCE);
  expect(first.done).toEqual(['a']);
  expect(await setting.pending(stream)).toMatchObject([{ consumer: 'first' }, { consumer: 'first' }]);
  const second = setting.consume({ stream, ...NEVER });
  await eventually(() => second.done.length === 2, PATIENCE);
  expect(second.done).toEqual(['b', 'c']);
});

test('a handler that takes longer than stopTimeoutMs is not waited for, and others have its message at once', async () => {
  const stream = newStream();
  await publish(stream, 'a');
  const end = deferred();
  const first = setting.consume({ stream, ...NEVER, stopTimeoutMs: 1 }, () => end.promise);
  await eventually(() => first.got.length === 1, PATIENCE);
  await within(first.stop(), PATIENCE);
  const second = setting.consume({ stream, ...NEVER });
  await eventually(() => second.done.length === 1, PATIENCE);
  // What the first says too late does no harm.
  end.resolve();
  await eventually(() => first.done.length === 1, PATIENCE);
});

test('a consumer that has nothing leaves no name behind, and one whose messages are pending keeps it', async () => {
  const stream = newStream();
  const idle = setting.consume({ stream, consumer: 'idle' });
  await publish(stream, 'a');
  await eventually(() => idle.done.length === 1, PATIENCE);
  expect(await setting.names(stream)).toEqual(['idle']);
  await idle.stop();
  expect(await setting.names(stream)).toEqual([]);
  await publish(stream, 'b');
  const failing = setting.consume(
    { stream, ...NEVER, consumer: 'failing', backoffMs: 86_400_000, maxBackoffMs: 86_400_000 },
    () => {
      throw new Error('no');
    },
  );
  await eventually(() => failing.errors.length === 1, PATIENCE);
  await failing.stop();
  expect(await setting.names(stream)).toEqual(['failing']);
  expect(await setting.pending(stream)).toHaveLength(1);
});

test('it closes its own connections, and not the one of the caller', async () => {
  const redis = setting.client({ connectionName: newStream() });
  const connections = async (): Promise<number> =>
    ((await setting.peek.client('LIST')) as string)
      .split('\n')
      .filter((line) => line.includes(`name=${redis.options.connectionName}`)).length;
  const stream = newStream();
  await redis.ping();
  const consumer = setting.consume({ redis, stream });
  await eventually(async () => (await connections()) === 3, PATIENCE);
  await Promise.all([consumer.stop(), consumer.stop()]);
  await eventually(async () => (await connections()) === 1, PATIENCE);
  expect(await redis.ping()).toBe('PONG');
});

test('with it go names that nobody uses any more, but none that messages are pending for', async () => {
  const stream = newStream();
  const { peek } = setting;
  await publish(stream, 'a');
  await peek.xgroup('CREATE', stream, 'g', '0');
  await peek.xgroup('CREATECONSUMER', stream, 'g', 'dead-and-empty');
  await peek.xreadgroup('GROUP', 'g', 'dead-with-a-message', 'STREAMS', stream, '>');
  const group = streamGroup({ reader: peek, writer: peek, group: 'g', consumer: 'me', claimIdleMs: 1000 });
  await group.leave(stream, 60_000);
  expect(await setting.names(stream)).toEqual(['dead-and-empty', 'dead-with-a-message']);
  await group.leave(stream, -1);
  expect(await setting.names(stream)).toEqual(['dead-with-a-message']);
  expect(await setting.pending(stream)).toMatchObject([{ consumer: 'dead-with-a-message' }]);
});

test('it stops while Redis is down', async () => {
  const { server, consume } = await startStreamCase();
  const consumer = consume({ stream: 's' });
  await server.kill();
  await eventually(() => consumer.errors.length > 0, PATIENCE);
  await within(consumer.stop(), PATIENCE);
});

test('it stops while Redis is frozen', async () => {
  const { server, peek, consume } = await startStreamCase();
  const consumer = consume({ stream: 's' });
  await peek.xadd('s', '*', 'a', 'b');
  await eventually(() => consumer.done.length === 1, PATIENCE);
  server.freeze();
  await within(consumer.stop(), PATIENCE);
  server.thaw();
});
