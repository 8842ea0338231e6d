/** Where a library owns the transaction, a message is handled in it like anywhere. */

import pg from 'pg';
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { libraryOn } from '../store/runner/libraries.ts';
import { failing, never, startInboxCase } from './inbox-case.ts';
import type { InboxCase } from './inbox-case.ts';

let setting: InboxCase;
let inbox: InboxCase['inbox'];

beforeAll(async () => {
  let pool: pg.Pool | undefined;
  setting = await startInboxCase({
    transaction: (work) => libraryOn((pool ??= new pg.Pool({ connectionString: setting.url, max: 4 })))(work),
  });
  inbox = setting.inbox;
  return () => pool?.end();
});
beforeEach(async () => {
  await setting.sql(
    'truncate effects, graphql_idempotency.inbox_failure, graphql_idempotency.record cascade',
  );
});

const message = { consumer: 'ledger', messageId: 'a ? :b $1', payload: { text: `it's ? :a $1` } };

test('the effect and the record commit with the library’s transaction, whichever handle has written', async () => {
  const answer = await inbox.process(message, async (tx, { client }) => {
    await setting.write(tx, 'tx');
    await (client as pg.PoolClient).query(`insert into effects (name) values ('client')`);
  });
  expect(answer).toEqual({ outcome: 'executed' });
  expect(await inbox.process(message, never)).toEqual({ outcome: 'replayed' });
  expect(await setting.effects()).toEqual(['tx', 'client']);
});

test('a message that has failed, and is handled then, leaves nothing behind; and nobody sends two queries at once', async () => {
  const warnings: Error[] = [];
  const listener = (warning: Error): void => void warnings.push(warning);
  process.on('warning', listener);
  onTestFinished(() => void process.off('warning', listener));
  await expect(inbox.process(message, failing)).rejects.toThrow('no');
  expect(await setting.failures()).toMatchObject([{ finished: 1, message_id: 'a ? :b $1' }]);
  const redelivered = { ...message, deliveries: 2 };
  const answer = await inbox.process(redelivered, async (_tx, { client, outbox }) => {
    outbox.add({ topic: 't', payload: 1 });
    await (client as pg.PoolClient).query(`insert into effects (name) values ('a')`);
  });
  expect(answer).toEqual({ outcome: 'executed' });
  expect(await setting.failures()).toEqual([]);
  expect(await setting.sql('select from graphql_idempotency.outbox')).toHaveLength(1);
  expect(warnings).toEqual([]);
});

test('one that fails too often is a dead letter, which a redrive handles in the library’s transaction', async () => {
  expect(await inbox.process({ ...message, maxAttempts: 1 }, failing)).toMatchObject({ outcome: 'dead' });
  const redriven = await inbox.redrive({}, (dead) => inbox.process(dead, (tx) => setting.write(tx, 'now')));
  expect(redriven).toEqual({ handled: 1, failed: 0 });
  expect(await setting.effects()).toEqual(['now']);
});
