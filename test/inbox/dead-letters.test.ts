/** What operators see of messages that could not be handled, and do with them. */

import { inspect } from 'node:util';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { deferred } from '../support/signal.ts';
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
    'truncate effects, graphql_idempotency.inbox_failure, graphql_idempotency.record cascade',
  );
});

const die = async (messageId: string, consumer = 'ledger', more: object = {}): Promise<void> => {
  const message = { consumer, messageId, payload: { of: messageId }, ...more };
  expect(await inbox.process({ ...message, maxAttempts: 1 }, failing)).toMatchObject({ outcome: 'dead' });
};
const ids = async (query?: object): Promise<string[]> =>
  (await inbox.deadLetters(query)).map(({ messageId }) => messageId);
const range = (count: number): string[] => Array.from({ length: count }, (_, at) => `m${at}`);

test('a dead letter has all that its handler got, and why it died', async () => {
  const before = Date.now() - 60_000;
  const more = { payload: Buffer.from([0, 255]), topic: 't', key: 'k', headers: { a: '1' }, deliveries: 4 };
  await die('m1', 'ledger', more);
  const [letter] = await inbox.deadLetters();
  expect(letter).toEqual({
    identity: expect.stringMatching(/^[0-9a-f]{64}$/),
    position: expect.stringMatching(/^\d+$/),
    consumer: 'ledger',
    messageId: 'm1',
    topic: 't',
    key: 'k',
    payload: Buffer.from([0, 255]),
    headers: { a: '1' },
    deliveries: 1,
    firstFailedAt: expect.any(Date),
    diedAt: expect.any(Date),
    failures: 1,
    crashes: 0,
    lastError: 'no',
  });
  expect(letter!.firstFailedAt.getTime()).toBeGreaterThan(before);
  expect(letter!.diedAt.getTime()).toBeGreaterThanOrEqual(letter!.firstFailedAt.getTime());
});

test('they are listed in the order of their first failures, page by page, each consumer’s by itself', async () => {
  for (const id of range(5)) await die(id, id === 'm2' ? 'mailer' : 'ledger');
  // A message that is failing is none yet.
  await expect(inbox.process({ consumer: 'ledger', messageId: 'x', payload: 1 }, failing)).rejects.toThrow();
  expect(await ids()).toEqual(range(5));
  expect(await ids({ consumer: 'mailer' })).toEqual(['m2']);
  expect(await ids({ consumer: 'nobody' })).toEqual([]);
  const [, second] = await inbox.deadLetters({ limit: 2 });
  expect(await ids({ after: second!.position, limit: 2 })).toEqual(['m2', 'm3']);
  expect(await ids({ after: second!.position, consumer: 'ledger' })).toEqual(['m3', 'm4']);
  expect(await ids({ after: '9'.repeat(18) })).toEqual([]);
});

test('those of another namespace are its own business', async () => {
  const other = await startInboxCase({ beside: setting, namespace: 'other' });
  await die('m1');
  const [letter] = await inbox.deadLetters();
  expect(await other.inbox.deadLetters()).toEqual([]);
  expect(await other.inbox.discard([letter!.identity])).toBe(0);
  expect(await other.inbox.discard({})).toBe(0);
  expect(await ids()).toEqual(['m1']);
});

test('a redrive hands them over in their order, in the form that `process` takes', async () => {
  for (const id of range(3)) await die(id);
  const seen: unknown[] = [];
  const handle = (message: { messageId: string; payload: unknown }): Promise<unknown> =>
    inbox.process({ ...message, consumer: 'ledger' }, async (tx) => {
      seen.push(message.payload);
      await setting.write(tx, message.messageId);
    });
  expect(await inbox.redrive({ consumer: 'ledger' }, handle)).toEqual({ handled: 3, failed: 0 });
  expect(seen).toEqual(range(3).map((of) => ({ of })));
  expect(await setting.effects()).toEqual(range(3));
  expect(await inbox.deadLetters()).toEqual([]);
});

test('a redrive goes through more than a page of them, once each, whichever of them fail', async () => {
  await die('m');
  await setting.sql(`
    insert into graphql_idempotency.inbox_failure (identity, namespace, consumer, message_id, codec_version, message,
      started, finished, last_error, dead_at)
    select sha256(n::text::bytea), namespace, consumer, 'm' || n, codec_version, message, 1, 1, 'no', clock_timestamp()
    from graphql_idempotency.inbox_failure, generate_series(1, 204) as n`);
  let handed = 0;
  const totals = await inbox.redrive({}, async () => {
    handed += 1;
    await setting.sql(
      `delete from graphql_idempotency.inbox_failure where message_id = $1`,
      // Every other one is handled; the first row is that of the message itself.
      [handed % 2 === 0 ? `m${handed - 1}` : 'none'],
    );
  });
  expect(handed).toBe(205);
  expect(totals).toEqual({ handled: 102, failed: 103 });
  expect((await inbox.deadLetters({ limit: 1000 })).length).toBe(103);
});

test('what fails again stays, with its new error, and the others get their turn', async () => {
  for (const id of range(3)) await die(id);
  const totals = await inbox.redrive({}, (dead) =>
    inbox.process(dead, async (tx) => {
      if (dead.messageId === 'm1') throw new Error('still no');
      await setting.write(tx, dead.messageId);
    }),
  );
  expect(totals).toEqual({ handled: 2, failed: 1 });
  expect(await inbox.deadLetters()).toMatchObject([{ messageId: 'm1', failures: 2, lastError: 'still no' }]);
});

test.each<[string, (answer: Promise<unknown>) => unknown]>([
  ['that returns nothing', async (answer) => void (await answer)],
  ['that catches its error', (answer) => answer.catch(() => {})],
  ['that does not wait', () => 'done'],
])('a dead letter that fails again is not lost to a function %s', async (_what, around) => {
  await die('m1');
  const answers: Promise<unknown>[] = [];
  const totals = await inbox.redrive({}, (dead) => {
    const answer = inbox.process(dead, failing);
    answers.push(answer.catch(() => {}));
    return around(answer);
  });
  await Promise.all(answers);
  expect(totals).toEqual({ handled: 0, failed: 1 });
  expect(await ids()).toEqual(['m1']);
});

test('a function that calls no `process` has handled nothing', async () => {
  await die('m1');
  expect(await inbox.redrive({}, () => ({ outcome: 'executed' }))).toEqual({ handled: 0, failed: 1 });
  expect(await ids()).toEqual(['m1']);
});

test('of two redrives at once one handles each message', async () => {
  for (const id of range(3)) await die(id);
  const first = deferred();
  const began = deferred();
  let runs = 0;
  const handle = (wait: boolean) => (dead: { consumer: string; messageId: string; payload: unknown }) =>
    inbox.process(dead, async (tx) => {
      runs += 1;
      began.resolve();
      if (wait && dead.messageId === 'm0') await first.promise;
      await setting.write(tx, dead.messageId);
    });
  const one = inbox.redrive({}, handle(true));
  await began.promise;
  expect(await inbox.redrive({}, handle(false))).toEqual({ handled: 2, failed: 1 });
  first.resolve();
  expect(await one).toEqual({ handled: 3, failed: 0 });
  expect(runs).toBe(3);
  expect((await setting.effects()).toSorted()).toEqual(range(3));
  expect(await setting.failures()).toEqual([]);
});

test('one that was handled all the same is replayed, and no dead letter any more', async () => {
  await die('m1');
  const forgetting = (how: 'enable' | 'disable'): Promise<unknown> =>
    setting.sql(`alter table graphql_idempotency.record ${how} trigger record_forgets_failures`);
  await forgetting('disable');
  await inbox.process({ consumer: 'ledger', messageId: 'm1', payload: { of: 'm1' } }, () => {});
  await forgetting('enable');
  expect(await ids()).toEqual(['m1']);
  expect(await inbox.redrive({}, (dead) => inbox.process(dead, never))).toEqual({ handled: 1, failed: 0 });
  expect(await ids()).toEqual([]);
});

test('discarding removes those that were chosen, and returns how many', async () => {
  for (const id of range(4)) await die(id, id === 'm3' ? 'mailer' : 'ledger');
  const [, chosen] = await inbox.deadLetters();
  expect(await inbox.discard([chosen!.identity.toUpperCase()])).toBe(1);
  expect(await inbox.discard([])).toBe(0);
  expect(await inbox.redrive([], never)).toEqual({ handled: 0, failed: 0 });
  expect(await ids()).toEqual(['m0', 'm2', 'm3']);
  expect(await inbox.discard({ consumer: 'ledger' })).toBe(2);
  expect(await inbox.discard({})).toBe(1);
});

test('one that is not dead is neither discarded nor redriven', async () => {
  await expect(inbox.process({ consumer: 'ledger', messageId: 'm1', payload: 1 }, failing)).rejects.toThrow();
  const [{ identity }] = (await setting.sql<{ identity: Buffer }>(
    'select identity from graphql_idempotency.inbox_failure',
  )) as [{ identity: Buffer }];
  expect(await inbox.discard([identity.toString('hex')])).toBe(0);
  expect(await inbox.discard({})).toBe(0);
  expect(await inbox.redrive({}, never)).toEqual({ handled: 0, failed: 0 });
  expect(await setting.failures()).toHaveLength(1);
});

test('what is no choice, and what is no query, is a TypeError: in doubt, nothing is chosen', async () => {
  await die('m1');
  for (const choice of [
    undefined,
    null,
    'ledger',
    ['m1'],
    [1],
    { consumer: undefined },
    { consumer: '' },
    { consumer: 1 },
    { consumer: 'a\u0000' },
    { consumers: 'ledger' },
    { consumer: 'ledger', topic: 't' },
  ]) {
    await expect(inbox.discard(choice as never), inspect(choice)).rejects.toBeInstanceOf(TypeError);
    await expect(inbox.redrive(choice as never, never), inspect(choice)).rejects.toBeInstanceOf(TypeError);
  }
  await expect(inbox.redrive({}, undefined as never)).rejects.toThrow('expects a function');
  for (const query of [
    { limit: 0 },
    { limit: 1.5 },
    { limit: '1' },
    { after: 1 },
    { after: 'x' },
    { after: '9'.repeat(19) },
    { consumer: 1 },
  ]) {
    await expect(inbox.deadLetters(query as never)).rejects.toBeInstanceOf(TypeError);
  }
  expect(await ids()).toEqual(['m1']);
});
