/** Messages are nobody's answers: the fast tier knows nothing of them. */

import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { redisPrefix, redisUrl } from '../support/database.ts';
import { eventually } from '../support/signal.ts';
import { never, startInboxCase } from './inbox-case.ts';

test('nothing of a message is written to Redis, handled or failed', async () => {
  const prefix = redisPrefix();
  const redis = new Redis(redisUrl());
  onTestFinished(() => redis.disconnect());
  const setting = await startInboxCase({ redis: redisUrl(), redisPrefix: prefix });
  const keys = (): Promise<string[]> => redis.keys(`${prefix}*`);
  const message = { consumer: 'ledger', messageId: 'm1', payload: 1 };
  expect(await setting.inbox.process(message, () => {})).toEqual({ outcome: 'executed' });
  expect(await setting.inbox.process(message, never)).toEqual({ outcome: 'replayed' });
  expect(await setting.inbox.process({ ...message, payload: 2 }, never)).toMatchObject({ outcome: 'dead' });
  // A call that is guarded later is there: what was to be written before it would be, too.
  await setting.idempotency.guard({ scope: 's', key: 'k' }, () => 1);
  await eventually(async () => (await keys()).length > 0);
  expect(await keys()).toHaveLength(1);
});
