/** What becomes of a message whose handler fails. */

import { FinalError, IdempotencyError } from 'graphql-idempotency';
import type { Transaction } from 'graphql-idempotency';
import pg from 'pg';
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { codeOf } from '../guard/direct/calls.ts';
import { failing, never, startInboxCase, toldByInbox } from './inbox-case.ts';
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

const message = { consumer: 'ledger', messageId: 'm1', payload: { n: 1 } };

test('each failure is counted, and the last that is allowed makes it a dead letter', async () => {
  const told = toldByInbox();
  const thrice = { ...message, maxAttempts: 3 };
  await expect(inbox.process(thrice, failing)).rejects.toThrow('no');
  expect(await setting.failures()).toMatchObject([
    { started: 1, finished: 1, dead: false, last_error: 'no' },
  ]);
  await expect(inbox.process(thrice, failing)).rejects.toThrow('no');
  const answer = await inbox.process(thrice, failing);
  expect(answer).toMatchObject({ outcome: 'dead', error: new Error('no') });
  expect(await setting.failures()).toMatchObject([{ started: 3, finished: 3, dead: true }]);
  expect(told.map(({ event }) => event)).toEqual(['failed', 'failed', 'dead']);
});

test('the broker’s count of deliveries makes no difference to that', async () => {
  for (const deliveries of [1, 2, 3, 7]) {
    await expect(inbox.process({ ...message, deliveries }, failing)).rejects.toThrow('no');
  }
  expect(await setting.failures()).toMatchObject([{ started: 4, finished: 4, dead: false }]);
});

test('one that is handled in the end leaves nothing behind', async () => {
  await expect(inbox.process(message, failing)).rejects.toThrow('no');
  expect(await inbox.process(message, (tx) => setting.write(tx, 'a'))).toEqual({ outcome: 'executed' });
  expect(await setting.failures()).toEqual([]);
});

test('its failures are forgotten only if the transaction that handles it commits', async () => {
  await expect(inbox.process(message, failing)).rejects.toThrow('no');
  await setting.sql('alter table effects add constraint c unique (name) deferrable initially deferred');
  try {
    const broken = inbox.process(message, async (tx) => {
      await setting.write(tx, 'twice');
      await setting.write(tx, 'twice');
    });
    expect(await codeOf(broken)).toMatch(/^IDEMPOTENCY_TRANSACTION_/);
    expect(await setting.failures()).toMatchObject([{ started: 2, finished: 2 }]);
  } finally {
    await setting.sql('alter table effects drop constraint c');
  }
});

test('a FinalError makes it a dead letter at once, which a redrive can handle all the same', async () => {
  const answer = await inbox.process(message, async (tx) => {
    await setting.write(tx, 'undone');
    throw new FinalError('never');
  });
  expect(answer).toMatchObject({ outcome: 'dead', error: { message: 'never' } });
  expect((answer as { error: unknown }).error).toBeInstanceOf(FinalError);
  expect(await setting.effects()).toEqual([]);
  expect(await inbox.deadLetters()).toMatchObject([{ failures: 1, lastError: 'never' }]);
  const redriven = await inbox.redrive({}, (dead) => inbox.process(dead, (tx) => setting.write(tx, 'now')));
  expect(redriven).toEqual({ handled: 1, failed: 0 });
  expect(await setting.effects()).toEqual(['now']);
});

test('an error that the handler returns is an error', async () => {
  await expect(inbox.process(message, () => new Error('returned'))).rejects.toThrow('returned');
  expect(await inbox.process(message, () => new FinalError('returned'))).toMatchObject({ outcome: 'dead' });
});

test.each([
  ['a string', 'text', 'text'],
  ['undefined', undefined, 'undefined'],
  ['an object', { toString: (): string => 'odd' }, 'odd'],
])('%s that is thrown is an error like any other', async (_what, thrown, noted) => {
  const failed = inbox.process(message, () => {
    throw thrown;
  });
  expect(await failed.catch((error: unknown) => error)).toBe(thrown);
  expect(await setting.failures()).toMatchObject([{ finished: 1, last_error: noted }]);
});

test('a handler that goes on after a failed statement has failed', async () => {
  const poisoned = inbox.process(message, async (tx) => {
    await setting.write(tx, 'undone');
    await tx.query('select 1 / 0').catch(() => {});
  });
  expect(await codeOf(poisoned)).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await setting.effects()).toEqual([]);
  expect(await setting.failures()).toMatchObject([{ finished: 1, dead: false }]);
});

test('a handler cannot end its transaction', async () => {
  for (const command of ['commit', 'rollback', 'begin']) {
    await expect(inbox.process(message, (tx) => tx.query(command))).rejects.toThrow('refuses');
  }
  expect(await setting.failures()).toMatchObject([{ finished: 3 }]);
});

test('one that ended it behind the guard’s back is a dead letter: its effect may be committed', async () => {
  const pool = new pg.Pool({ connectionString: setting.url, max: 2 });
  onTestFinished(() => pool.end());
  let caught: pg.PoolClient | undefined;
  pool.on('acquire', (client) => {
    caught = client;
  });
  const lent = await startInboxCase({ beside: setting, postgres: pool });
  onTestFinished(() => lent.idempotency.close());
  const handle = async (tx: Transaction): Promise<void> => {
    await lent.write(tx, 'committed');
    await caught!.query('commit');
  };
  const broken = { code: 'IDEMPOTENCY_TRANSACTION_BROKEN' };
  expect(await lent.inbox.process(message, handle)).toMatchObject({ outcome: 'dead', error: broken });
  // No delivery, and no redrive, has the effect a second time.
  expect(await lent.inbox.process(message, handle)).toMatchObject({ outcome: 'dead' });
  const redriven = await lent.inbox.redrive({}, (dead) => lent.inbox.process(dead, handle));
  expect(redriven).toEqual({ handled: 0, failed: 1 });
  expect(await setting.effects()).toEqual(['committed']);
  expect(await lent.inbox.discard({})).toBe(1);
});

test('the error of a call that the handler guards is the handler’s failure', async () => {
  const guard: typeof setting.idempotency.guard = (...made) => setting.idempotency.guard(...made);
  await guard({ scope: 's', key: 'k', payload: 1 }, () => 1);
  const failed = inbox.process(message, () => guard({ scope: 's', key: 'k', payload: 2 }, () => 2));
  const error = (await failed.catch((thrown: unknown) => thrown)) as IdempotencyError;
  expect(error).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  // It is about that call's key, not about this message.
  expect(error.message).toContain('this key was used before');
  expect(await setting.failures()).toMatchObject([{ finished: 1, dead: false }]);
  const busy = inbox.process(message, () => {
    throw new IdempotencyError('IDEMPOTENCY_IN_PROGRESS', 'of another call');
  });
  await expect(busy).rejects.toThrow('of another call');
  expect(await setting.failures()).toMatchObject([{ finished: 2, dead: false }]);
});

test.each([
  ['more values than may be compared', Array.from({ length: 10_001 }, () => 0), /`maxPayloadNodes`/],
  ['a Map', { all: new Map() }, /such as a Map/],
])('a payload with %s is a dead letter at once, in words of messages', async (_what, payload, words) => {
  const answer = await inbox.process({ ...message, payload }, never);
  expect(answer).toMatchObject({ outcome: 'dead', error: { message: expect.stringMatching(words) } });
  expect((answer as { error: Error }).error.message).not.toMatch(/argument|field|retries/);
  const asBytes = { ...message, payload: Buffer.from('the same') };
  expect(await inbox.process(asBytes, (tx) => setting.write(tx, 'a'))).toEqual({ outcome: 'executed' });
});

test('what Postgres ended is a failure that is never final', async () => {
  const aborted = inbox.process(message, async (tx) => {
    await tx
      .query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
      .catch((cause: unknown) => {
        throw new FinalError('wrapped', { cause });
      });
  });
  await expect(aborted).rejects.toThrow();
  expect(await setting.failures()).toMatchObject([{ finished: 1, dead: false }]);
});

test('a dead letter that the broker delivers once more after all is tried once more', async () => {
  const once = { ...message, maxAttempts: 1 };
  expect(await inbox.process(once, failing)).toMatchObject({ outcome: 'dead' });
  expect(await inbox.process({ ...once, deliveries: 2 }, failing)).toMatchObject({ outcome: 'dead' });
  expect(await inbox.deadLetters()).toMatchObject([{ failures: 2, crashes: 0 }]);
  expect(await inbox.process({ ...once, deliveries: 3 }, (tx) => setting.write(tx, 'a'))).toEqual({
    outcome: 'executed',
  });
  expect(await inbox.deadLetters()).toEqual([]);
});

test('what is refused says nothing of the message, and nothing is noted', async () => {
  for (const [changed, expected] of [
    [{ consumer: '' }, '`consumer` expects'],
    [{ consumer: 'a\u0000' }, '`consumer` expects'],
    [{ consumer: '\ud800' }, '`consumer` expects'],
    [{ consumer: 'x'.repeat(201) }, '`consumer` expects'],
    [{ messageId: '' }, '`messageId` expects'],
    [{ messageId: undefined }, '`messageId` expects'],
    [{ payload: failing }, '`payload` cannot be kept: it is a function'],
    [{ payload: { at: [failing] } }, '`payload` cannot be kept at .at[0]: it is a function'],
    [{ headers: { a: failing } }, '`headers` cannot be kept at .a'],
    [{ deliveries: 0 }, '`deliveries` expects'],
    [{ maxAttempts: 1.5 }, '`maxAttempts` expects'],
    [{ crashLimit: Number.NaN }, '`crashLimit` expects'],
    [{ ttl: 1 }, '`ttl` must exceed'],
    [{ mode: 'ELSE' }, '`mode` expects'],
    [{ abandoned: 'RERUN' }, '`abandoned` is for mode: LEASE'],
    [{ messageID: 'm1' }, 'Did you mean `messageId`?'],
  ] as const) {
    const wrong = { ...message, ...changed } as unknown as typeof message;
    await expect(inbox.process(wrong, never), expected).rejects.toThrow(expected);
    await expect(inbox.process(wrong, never), expected).rejects.toBeInstanceOf(TypeError);
  }
  await expect(inbox.process(message, undefined as never)).rejects.toThrow('expects a function');
  await expect(inbox.process(undefined as never, never)).rejects.toThrow('expects an object');
  expect(await setting.failures()).toEqual([]);
});
