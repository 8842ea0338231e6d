/** Whoever closes waits for the messages under way. */

import { expect, test } from 'vitest';
import { codeOf } from '../guard/direct/calls.ts';
import { deferred } from '../support/signal.ts';
import { never, startInboxCase } from './inbox-case.ts';

const message = { consumer: 'ledger', messageId: 'm1', payload: 1 };

test('a message under way is handled before the stores close, and none is begun after', async () => {
  const setting = await startInboxCase();
  const began = deferred();
  const end = deferred();
  const handled = setting.inbox.process(message, async (tx) => {
    began.resolve();
    await end.promise;
    await setting.write(tx, 'a');
  });
  await began.promise;
  const order: string[] = [];
  const closed = setting.idempotency.close().then(() => order.push('closed'));
  void handled.then(() => order.push('handled'));
  end.resolve();
  expect(await handled).toEqual({ outcome: 'executed' });
  await closed;
  expect(order).toEqual(['handled', 'closed']);
  expect(await setting.effects()).toEqual(['a']);
  for (const deliveries of [1, 2]) {
    const late = { ...message, messageId: 'm2', deliveries };
    expect(await codeOf(setting.inbox.process(late, never))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  }
});

test('one whose failure is still to be noted is waited for, too', async () => {
  const setting = await startInboxCase();
  const failed = setting.inbox.process({ ...message, maxAttempts: 1 }, () => {
    void setting.idempotency.close();
    throw new Error('no');
  });
  expect(await failed).toMatchObject({ outcome: 'dead' });
  await setting.idempotency.close();
  expect(await setting.failures()).toMatchObject([{ dead: true }]);
});
