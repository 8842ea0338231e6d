/** What was noted of messages that never come again doesn't stay for ever, unless somebody has to see it. */

import { expect, test } from 'vitest';
import { inboxStatementsFor } from '../../src/store/postgres/messages/inbox-statements.ts';
import { failing, startInboxCase } from './inbox-case.ts';

const DAY = 24 * 3600 * 1000;

test('failures of messages that have not come for the time are removed, a batch at a time; dead letters stay', async () => {
  const setting = await startInboxCase();
  const other = await startInboxCase({ beside: setting, namespace: 'other' });
  const fail = (messageId: string, maxAttempts = 5, inbox = setting.inbox): Promise<unknown> =>
    inbox
      .process({ consumer: 'ledger', messageId, payload: 1, maxAttempts }, failing)
      .catch((error: unknown) => error);
  for (const id of ['old 1', 'old 2', 'old 3', 'back']) await fail(id);
  await fail('dead', 1);
  await fail('another’s', 5, other.inbox);
  await setting.sql(`update graphql_idempotency.inbox_failure set
    first_at = first_at - interval '8 days', last_at = last_at - interval '8 days'`);
  await fail('back');
  await fail('new');
  const { sweep } = inboxStatementsFor('graphql_idempotency', '');
  await setting.sql(sweep(7 * DAY, 2));
  expect(await setting.failures()).toHaveLength(5);
  await setting.sql(sweep(7 * DAY, 2));
  await setting.sql(sweep(7 * DAY, 2));
  const left = (await setting.failures()).map(({ message_id: id }) => id);
  expect(left).toEqual(['back', 'dead', 'another’s', 'new']);
});
