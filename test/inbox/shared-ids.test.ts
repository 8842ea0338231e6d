/** Two messages that share an id: what becomes of one must not be taken for what becomes of the other. */

import { beforeAll, beforeEach, expect, test } from 'vitest';
import { failing, startInboxCase } from './inbox-case.ts';
import type { InboxCase } from './inbox-case.ts';

let setting: InboxCase;
let inbox: InboxCase['inbox'];

beforeAll(async () => {
  setting = await startInboxCase();
  inbox = setting.inbox;
});
beforeEach(async () => {
  await setting.sql('truncate graphql_idempotency.inbox_failure, graphql_idempotency.record cascade');
});

const first = { consumer: 'ledger', messageId: 'm1', payload: 'first', maxAttempts: 1 };
const second = { ...first, payload: 'second' };
const payloads = async (): Promise<unknown[]> => (await inbox.deadLetters()).map(({ payload }) => payload);

test('a dead letter stays where another message of its id is handled', async () => {
  expect(await inbox.process(first, failing)).toMatchObject({ outcome: 'dead' });
  expect(await inbox.process(second, () => {})).toEqual({ outcome: 'executed' });
  expect(await payloads()).toEqual(['first']);
});

test('a message is not done with where the dead letter of its id is another', async () => {
  expect(await inbox.process(first, failing)).toMatchObject({ outcome: 'dead' });
  const answer = await inbox.process(second, failing).catch(() => 'comes again');
  if (answer !== 'comes again') expect(await payloads()).toContain('second');
  expect(await payloads()).toContain('first');
});
