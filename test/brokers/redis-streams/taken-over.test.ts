/** Who has a message: it is taken over from the dead, not from those at work, and not taken back. */

import { redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { startChild } from '../../support/child.ts';
import { startRedisProxy } from '../../support/redis-proxy.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { eventOf, newStream, PATIENCE, startStreamCase } from './stream-case.ts';
import type { StreamCase } from './stream-case.ts';

let setting: StreamCase;

beforeAll(async () => {
  setting = await startStreamCase();
});

async function publish(stream: string, ...payloads: readonly string[]): Promise<void> {
  const publisher = redisStreamsPublisher({ redis: setting.peek, stream });
  expect(await publisher.publish(payloads.map((payload) => eventOf(payload)))).not.toContainEqual(
    expect.any(Error),
  );
}

test('what a killed consumer had is taken over, as a further delivery, and what it had not is read', async () => {
  const stream = newStream();
  await publish(stream, 'a', 'b', 'c', 'd');
  const child = startChild({
    file: new URL('consumer-process.ts', import.meta.url),
    args: [setting.server.url, stream, '1000'],
  });
  for (const name of ['a', 'b', 'c']) {
    await child.message<{ got: string }>(({ got }) => got === `id-of-${name}`, PATIENCE);
  }
  await child.kill();
  const consumer = setting.consume({ stream, claimIdleMs: 1000 });
  await eventually(() => consumer.done.length === 4, PATIENCE);
  const deliveries = consumer.got.map((message) => [message.payload.toString(), message.deliveries]);
  expect(Object.fromEntries(deliveries)).toEqual({ a: 2, b: 2, c: 2, d: 1 });
  await eventually(async () => (await setting.pending(stream)).length === 0, PATIENCE);
});

test('a handler may take far longer than claimIdleMs: nobody takes its message over', async () => {
  const stream = newStream();
  await publish(stream, 'long');
  const end = deferred();
  const first = setting.consume({ stream, consumer: 'first', claimIdleMs: 3000 }, () => end.promise);
  await eventually(() => first.got.length === 1, PATIENCE);
  const second = setting.consume({ stream, consumer: 'second', claimIdleMs: 3000 });
  // Signs of life, by what Redis says of them: through more than two times its limit.
  let signs = 0;
  let before = 0;
  await eventually(async () => {
    const [message] = await setting.pending(stream);
    expect(message).toMatchObject({ consumer: 'first', deliveries: 1 });
    if (message!.idleMs < before) signs += 1;
    before = message!.idleMs;
    return signs >= 6;
  }, PATIENCE);
  end.resolve();
  await eventually(() => first.done.length === 1, PATIENCE);
  expect(second.got).toEqual([]);
});

/** A consumer whose message somebody else has taken, by its back, while its handler is at work. */
async function robbed(claimIdleMs: number) {
  const stream = newStream();
  await publish(stream, 'a');
  const end = deferred();
  const proxy = await startRedisProxy({ target: setting.server.url });
  onTestFinished(() => proxy.close());
  const [host, port] = new URL(proxy.url).host.split(':') as [string, string];
  const redis = setting.client({ host, port: Number(port) });
  const consumer = setting.consume({ redis, stream, consumer: 'robbed', claimIdleMs }, () => end.promise);
  await eventually(() => consumer.got.length === 1, PATIENCE);
  const [message] = await setting.pending(stream);
  await setting.peek.xclaim(stream, 'g', 'robber', 0, message!.id);
  proxy.reset();
  const renewals = (): number => proxy.counts().commands.filter((name) => /^eval$/i.test(name)).length;
  return { stream, end, consumer, renewals };
}

test('a sign of life does not take back what another has taken over', async () => {
  const { stream, end, renewals } = await robbed(300);
  await eventually(async () => {
    const [message] = await setting.pending(stream);
    expect(message).toMatchObject({ consumer: 'robber' });
    return renewals() >= 2;
  }, PATIENCE);
  // Whoever has it by now: it is handled.
  end.resolve();
  await eventually(async () => (await setting.pending(stream)).length === 0, PATIENCE);
});

test('a failure gives nothing back that another has taken over', async () => {
  // Nothing is renewed in so short a time, and nothing is taken back from whoever has it.
  const { stream, end, consumer, renewals } = await robbed(60_000);
  const seen = renewals();
  end.reject(new Error('too late'));
  await eventually(() => consumer.errors.length === 1 && renewals() > seen, PATIENCE);
  // What it had to say has been answered by then.
  await consumer.stop();
  expect(await setting.pending(stream)).toMatchObject([{ consumer: 'robber', deliveries: 2 }]);
});
