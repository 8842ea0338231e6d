/** What a handler publishes leaves with the commit that handles its message. */

import { beforeAll, beforeEach, expect, test } from 'vitest';
import { failing, never, startInboxCase } from './inbox-case.ts';
import type { InboxCase } from './inbox-case.ts';

let setting: InboxCase;
let inbox: InboxCase['inbox'];

beforeAll(async () => {
  setting = await startInboxCase();
  inbox = setting.inbox;
});
beforeEach(async () => {
  await setting.sql(
    'truncate effects, graphql_idempotency.outbox, graphql_idempotency.inbox_failure, graphql_idempotency.record cascade',
  );
});

const message = { consumer: 'ledger', messageId: 'm1', payload: { n: 1 } };
const events = async (): Promise<string[]> =>
  (
    await setting.sql<{ event_id: string }>(
      'select event_id from graphql_idempotency.outbox order by position',
    )
  ).map(({ event_id: id }) => id);

test('an event is there once the message is handled, not before, and once however often it comes', async () => {
  const ids: string[] = [];
  await inbox.process(message, (_tx, { outbox }) => {
    ids.push(outbox.add({ topic: 't', payload: 1 }), outbox.add({ topic: 't', payload: 2 }));
  });
  await inbox.process(message, never);
  expect(await events()).toEqual(ids);
});

test('an event of a handler that fails is never there, and has the same id when it is handled', async () => {
  const ids: string[] = [];
  const add = (fails: boolean) =>
    inbox.process(message, async (tx, { outbox }) => {
      await setting.write(tx, 'a');
      ids.push(outbox.add({ topic: 't', payload: 1 }));
      if (fails) failing();
    });
  await expect(add(true)).rejects.toThrow('no');
  expect(await events()).toEqual([]);
  await add(false);
  expect(ids[1]).toBe(ids[0]);
  expect(await events()).toEqual([ids[1]]);
});

test('two consumers of one message add different events', async () => {
  const ids = new Set<string>();
  for (const consumer of ['ledger', 'mailer']) {
    await inbox.process({ ...message, consumer }, (_tx, { outbox }) => {
      ids.add(outbox.add({ topic: 't', payload: 1 }));
    });
  }
  expect(ids.size).toBe(2);
});
