/** Consumers that are killed: their message is handled once by another, and one that kills them all is found out. */

import type { InboxMessage } from 'graphql-idempotency';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { codeOf } from '../guard/direct/calls.ts';
import { startChild } from '../support/child.ts';
import type { Child } from '../support/child.ts';
import { eventually } from '../support/signal.ts';
import type { Handled } from './consuming-process.ts';
import { never, startInboxCase, toldByInbox } from './inbox-case.ts';
import type { InboxCase } from './inbox-case.ts';

let setting: InboxCase;
let inbox: InboxCase['inbox'];

beforeAll(async () => {
  setting = await startInboxCase({ lease: 2000, claimTimeout: 1900 });
  inbox = setting.inbox;
});
beforeEach(async () => {
  await setting.sql(
    'truncate effects, graphql_idempotency.inbox_failure, graphql_idempotency.record cascade',
  );
});

const PATIENCE = { timeoutMs: 30_000 };
const message = { consumer: 'ledger', messageId: 'm1', payload: { n: 1 } };

const consume = (read: InboxMessage, env: Readonly<Record<string, string>> = {}): Child =>
  startChild({
    file: 'test/inbox/consuming-process.ts',
    env: { MESSAGE: JSON.stringify(read), TEST_URL: setting.url, ...env },
  });

/** Delivers it until it is no longer in progress: Postgres has to see first that the connection is gone. */
const redeliver = (read: InboxMessage & { mode?: undefined }): Promise<unknown> =>
  eventually(async () => {
    const answer = await codeOf(inbox.process(read, (tx) => setting.write(tx, 'again')));
    return answer === 'IDEMPOTENCY_IN_PROGRESS' ? undefined : answer;
  }, PATIENCE);

test('killed while it handles it: nothing has happened, and the next delivery handles it', async () => {
  expect(await consume(message, { KILL_AT: 'at work' }).exited).toMatchObject({ signal: 'SIGKILL' });
  expect(await setting.effects()).toEqual([]);
  expect(await redeliver({ ...message, deliveries: 2 })).toEqual({ outcome: 'executed' });
  expect(await setting.effects()).toEqual(['again']);
});

test('killed before it could tell the broker: it is handled, and the next delivery says so', async () => {
  expect(await consume(message, { KILL_AT: 'handled' }).exited).toMatchObject({ signal: 'SIGKILL' });
  expect(await setting.effects()).toEqual(['first', 'second']);
  expect(await redeliver({ ...message, deliveries: 2 })).toEqual({ outcome: 'replayed' });
  expect(await setting.effects()).toEqual(['first', 'second']);
  expect(await setting.failures()).toEqual([]);
});

test('killed after its failure was noted: the next delivery goes on counting', async () => {
  const env = { FAIL: 'yes', KILL_AT: 'handled' };
  expect(await consume({ ...message, deliveries: 2 }, env).exited).toMatchObject({ signal: 'SIGKILL' });
  expect(await setting.failures()).toMatchObject([{ started: 1, finished: 1, dead: false }]);
  const failed = inbox.process({ ...message, deliveries: 3, maxAttempts: 2, crashLimit: 1 }, () => {
    throw new Error('no');
  });
  expect(await failed).toMatchObject({ outcome: 'dead', error: new Error('no') });
});

test('a message that takes its consumers with it is a dead letter, and nobody handles it any more', async () => {
  const told = toldByInbox();
  for (let crashes = 1; crashes <= 2; crashes += 1) {
    const read = { ...message, deliveries: crashes + 1, crashLimit: 2 };
    expect(await consume(read, { KILL_AT: 'at work' }).exited).toMatchObject({ signal: 'SIGKILL' });
    expect(await setting.failures()).toMatchObject([{ started: crashes, finished: 0, dead: false }]);
    // Until the connection is gone, a delivery is given back, and changes nothing.
    await eventually(async () => {
      const locks = `select from pg_locks where locktype = 'advisory' and database =
        (select oid from pg_database where datname = current_database())`;
      return (await setting.sql(locks)).length === 0;
    }, PATIENCE);
  }
  const again = { ...message, deliveries: 4, crashLimit: 2 };
  const reason = 'its consumer died 2 times while handling it';
  expect(await inbox.process(again, never)).toMatchObject({ outcome: 'dead', error: new Error(reason) });
  expect(await inbox.process({ ...again, deliveries: 5 }, never)).toMatchObject({ outcome: 'dead' });
  expect(await inbox.deadLetters()).toMatchObject([
    { crashes: 2, failures: 0, lastError: 'The consumer died 2 times while handling it.' },
  ]);
  expect(told[0]).toMatchObject({ event: 'dead', consumer: 'ledger' });
  expect(setting.log.some(({ level, message }) => level === 'error' && message.includes(reason))).toBe(true);
  // Whoever has mended the consumer has it handled.
  const redriven = await inbox.redrive({}, (dead) => inbox.process(dead, (tx) => setting.write(tx, 'now')));
  expect(redriven).toEqual({ handled: 1, failed: 0 });
  expect(await setting.effects()).toEqual(['now']);
  expect(await setting.failures()).toEqual([]);
});

test('copies that are given back while one is at work are no crashes', async () => {
  const child = consume({ ...message, deliveries: 2, crashLimit: 2 }, { PAUSE_AT: 'at work' });
  await child.message<{ at: string }>(({ at }) => at === 'at work', PATIENCE);
  for (let deliveries = 3; deliveries < 10; deliveries += 1) {
    const copy = { ...message, deliveries, crashLimit: 2 };
    expect(await codeOf(inbox.process(copy, never))).toBe('IDEMPOTENCY_IN_PROGRESS');
  }
  expect(await setting.failures()).toMatchObject([{ started: 1, finished: 0, dead: false }]);
  child.send('go on');
  const { answer } = await child.message<Handled>((said) => 'answer' in said, PATIENCE);
  expect(answer).toEqual({ outcome: 'executed' });
  expect(await setting.effects()).toEqual(['first', 'second']);
  expect(await setting.failures()).toEqual([]);
});

test('killed in the middle of a LEASE: a rerun goes on behind the step that is done', async () => {
  const leased = { ...message, mode: 'LEASE', abandoned: 'RERUN' } as const;
  expect(await consume(leased, { KILL_AT: 'at work' }).exited).toMatchObject({ signal: 'SIGKILL' });
  expect(await setting.effects()).toEqual(['first']);
  expect(await codeOf(inbox.process({ ...leased, deliveries: 2 }, never))).toBe('IDEMPOTENCY_IN_PROGRESS');
  const answer = await eventually(async () => {
    const given = await codeOf(
      inbox.process({ ...leased, deliveries: 3 }, async ({ step }) => {
        await step.transaction('first', never);
        await step.transaction('second', async (tx) => void (await setting.write(tx, 'second')));
      }),
    );
    return given === 'IDEMPOTENCY_IN_PROGRESS' ? undefined : given;
  }, PATIENCE);
  expect(answer).toEqual({ outcome: 'executed' });
  expect(await setting.effects()).toEqual(['first', 'second']);
  expect(await setting.failures()).toEqual([]);
});
