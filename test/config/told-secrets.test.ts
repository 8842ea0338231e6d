/** What the library logs and publishes about a Redis that refuses its commands holds none of their arguments. */

import buffer from 'node:buffer';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startRedis } from '../support/redis-server.ts';
import { startService } from '../support/service.ts';
import { eventually } from '../support/signal.ts';

let databaseUrl: string;
beforeAll(async () => {
  // Bytes are printed whole, too.
  buffer.INSPECT_MAX_BYTES = Number.POSITIVE_INFINITY;
  ({ url: databaseUrl } = await createDatabase());
});

/** What is published, as somebody would print it who prints everything. */
function published(): { readonly text: () => string; readonly has: (event: string) => boolean } {
  const messages: unknown[] = [];
  const listener = (message: unknown): void => void messages.push(message);
  subscribe('graphql-idempotency', listener);
  onTestFinished(() => void unsubscribe('graphql-idempotency', listener));
  return {
    text: () =>
      inspect(messages, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null }),
    has: (event) => messages.some((message) => (message as { event?: string }).event === event),
  };
}

test('a wrong password for Redis', async () => {
  const redis = await startRedis({ settings: { requirepass: 'right-password' } });
  onTestFinished(() => redis.remove());
  const told = published();
  const service = await startService({
    databaseUrl,
    redis: redis.url.replace('redis://', 'redis://:wrong-password@'),
  });
  onTestFinished(() => service.stop());
  expect((await service.send({ key: 'a' })).status).toBe(200);
  await eventually(() => told.has('failed'));
  expect(told.text()).toContain('WRONGPASS');
  expect(told.text() + inspect(service.log, { depth: 20, showHidden: true })).not.toContain('wrong-password');
});

test('a result that Redis has no room for', async () => {
  const redis = await startRedis({ settings: { maxmemory: '1', 'maxmemory-policy': 'noeviction' } });
  onTestFinished(() => redis.remove());
  const told = published();
  const service = await startService({ databaseUrl, redis: redis.url });
  onTestFinished(() => service.stop());
  expect((await service.send({ key: 'b', variables: { note: 'confidential' } })).status).toBe(200);
  await eventually(() => told.has('write-failed'));
  expect(told.text()).toContain('OOM command not allowed');
  expect(told.text()).not.toContain('confidential');
  expect(told.text()).not.toContain(inspect(Buffer.from('confidential')).slice('<Buffer '.length, -1));
});
