/** A message's effect happens once, however often it is delivered. */

import { expect, test } from 'vitest';
import { startCalls } from '../guard/direct/calls.ts';

const calls = await startCalls();
const { inbox } = calls.idempotency;

test('a message that comes again is not handled again', async () => {
  const message = { consumer: 'ledger', messageId: 'm1', payload: Buffer.from('x') };
  expect(await inbox.process(message, (tx) => calls.write(tx, 'first'))).toEqual({ outcome: 'executed' });
  expect(await inbox.process(message, (tx) => calls.write(tx, 'second'))).toEqual({ outcome: 'replayed' });
  expect(await calls.effects()).toEqual(['first']);
});

test('a message that fails too often is a dead letter, and can be handled later', async () => {
  const message = { consumer: 'mailer', messageId: 'm1', payload: { n: 1 }, maxAttempts: 2 };
  const fail = (): never => {
    throw new Error('no');
  };
  await expect(inbox.process(message, fail)).rejects.toThrow('no');
  expect(await inbox.process(message, fail)).toMatchObject({ outcome: 'dead' });
  expect(await inbox.deadLetters({ consumer: 'mailer' })).toMatchObject([{ messageId: 'm1', failures: 2 }]);
  const totals = await inbox.redrive({ consumer: 'mailer' }, ({ messageId, payload }) =>
    inbox.process({ consumer: 'mailer', messageId, payload }, (tx) => calls.write(tx, 'redriven')),
  );
  expect(totals).toEqual({ handled: 1, failed: 0 });
  expect(await calls.effects()).toContain('redriven');
  expect(await inbox.deadLetters({ consumer: 'mailer' })).toEqual([]);
});
