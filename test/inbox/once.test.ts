/** A message has one effect at each consumer, and the record of it is in the same commit. */

import { beforeAll, beforeEach, expect, test } from 'vitest';
import { codeOf } from '../guard/direct/calls.ts';
import { deferred } from '../support/signal.ts';
import { never, startInboxCase, toldByInbox } from './inbox-case.ts';
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

const message = { consumer: 'ledger', messageId: 'm1', payload: Buffer.from('x') };
const executed = { outcome: 'executed' };
const replayed = { outcome: 'replayed' };

test('the effect and the record of it are committed together', async () => {
  const seen: number[] = [];
  await inbox.process(message, async (tx) => {
    await setting.write(tx, 'a');
    seen.push((await setting.effects()).length);
  });
  expect(seen).toEqual([0]);
  // One transaction has written both.
  const [row] = await setting.sql<{ same: boolean }>(
    'select e.xmin = r.xmin as same from effects as e, graphql_idempotency.record as r',
  );
  expect(row).toEqual({ same: true });
});

test('a handler that fails leaves neither an effect nor a record', async () => {
  const failed = inbox.process(message, async (tx) => {
    await setting.write(tx, 'a');
    throw new Error('no');
  });
  await expect(failed).rejects.toThrow('no');
  expect(await setting.effects()).toEqual([]);
  expect(await setting.sql('select from graphql_idempotency.record')).toEqual([]);
});

test('of two copies at the same instant one is handled, and the other comes again, which is no failure', async () => {
  const told = toldByInbox();
  const began = deferred();
  const end = deferred();
  const first = inbox.process(message, async (tx) => {
    began.resolve();
    await end.promise;
    await setting.write(tx, 'first');
  });
  await began.promise;
  expect(await codeOf(inbox.process(message, never))).toBe('IDEMPOTENCY_IN_PROGRESS');
  await expect(inbox.process(message, never)).rejects.toThrow('this message is being handled');
  end.resolve();
  expect(await first).toEqual(executed);
  expect(await setting.failures()).toEqual([]);
  expect(told).toEqual([]);
  expect(await inbox.process(message, never)).toEqual(replayed);
});

test('a copy that another process gets meanwhile comes again, though the broker counts it as a redelivery', async () => {
  const other = await startInboxCase({ beside: setting });
  const began = deferred();
  const end = deferred();
  const first = inbox.process({ ...message, deliveries: 2 }, async (tx) => {
    await setting.write(tx, 'first');
    began.resolve();
    await end.promise;
  });
  await began.promise;
  const again = { ...message, deliveries: 3 };
  // At once: the note of its beginning doesn't wait for the transaction that is at work.
  expect(await codeOf(other.inbox.process(again, never))).toBe('IDEMPOTENCY_IN_PROGRESS');
  expect(await setting.failures()).toMatchObject([{ started: 1, finished: 0, dead: false }]);
  end.resolve();
  expect(await first).toEqual(executed);
  expect(await setting.failures()).toEqual([]);
});

test('each consumer handles a message once, and so does each namespace', async () => {
  const other = await startInboxCase({ beside: setting, namespace: 'other' });
  for (const [at, consumer, by] of [
    [inbox, 'ledger', 'ledger'],
    [inbox, 'mailer', 'mailer'],
    [other.inbox, 'ledger', 'other ledger'],
  ] as const) {
    const copy = { ...message, consumer };
    expect(await at.process(copy, (tx) => setting.write(tx, by))).toEqual(executed);
    expect(await at.process(copy, never)).toEqual(replayed);
  }
  expect(await setting.effects()).toEqual(['ledger', 'mailer', 'other ledger']);
});

test('no client’s key is a message’s, and no message’s id a client’s key', async () => {
  const call = { name: 'inbox.ledger', scope: 'ledger', key: 'm1', payload: message.payload };
  const guard: typeof setting.idempotency.guard = (...made) => setting.idempotency.guard(...made);
  expect(await guard(call, ({ tx }) => setting.write(tx, 'client'))).toMatchObject(executed);
  expect(await inbox.process(message, (tx) => setting.write(tx, 'message'))).toEqual(executed);
  const second = { ...message, messageId: 'm2' };
  expect(await inbox.process(second, (tx) => setting.write(tx, 'message 2'))).toEqual(executed);
  expect(await guard({ ...call, key: 'm2' }, ({ tx }) => setting.write(tx, 'client 2'))).toMatchObject(
    executed,
  );
  expect(await setting.effects()).toHaveLength(4);
});

test('names that only run together the same way are not the same message', async () => {
  for (const [consumer, messageId] of [
    ['a', 'bc'],
    ['ab', 'c'],
  ] as const) {
    expect(await inbox.process({ ...message, consumer, messageId }, () => {})).toEqual(executed);
  }
});

test.each([
  ['NUL', 'a\u0000b', 'a\ufffdb'],
  ['an emoji', '🧾', '🧾\ufe0f'],
  ['a lone surrogate', '\ud800', '\udc00'],
  ['quotes and backslashes', `'\\"; drop table effects`, `'\\\\"`],
  ['line breaks', 'a\r\nb', 'a\nb'],
  ['100,000 characters', 'x'.repeat(100_000), 'x'.repeat(99_999)],
  ['white space', ' ', '  '],
])('an id with %s is told from one that looks like it', async (_what, messageId, alike) => {
  const odd = { ...message, messageId };
  expect(await inbox.process(odd, (tx, { key }) => setting.write(tx, String(key === messageId)))).toEqual(
    executed,
  );
  expect(await inbox.process({ ...message, messageId: alike }, () => {})).toEqual(executed);
  expect(await inbox.process(odd, never)).toEqual(replayed);
  expect(await setting.effects()).toEqual(['true']);
  // And where it fails, it is kept as it is.
  const dead = { ...odd, consumer: 'failing', maxAttempts: 1 };
  expect(await inbox.process(dead, never)).toMatchObject({ outcome: 'dead' });
  expect(await inbox.deadLetters({ consumer: 'failing' })).toMatchObject([{ messageId }]);
});

test.each([
  ['bytes', Buffer.from([0, 255, 1]), Buffer.from([0, 255, 2])],
  ['plain data', { a: 1, b: [new Date(5), 7n, undefined] }, { a: 1, b: [new Date(5), 8n, undefined] }],
  ['2 MiB', Buffer.alloc(2 * 1024 * 1024, 1), Buffer.alloc(2 * 1024 * 1024, 2)],
  ['null', null, undefined],
])('a payload of %s is told from another one', async (_what, payload, other) => {
  expect(await inbox.process({ ...message, payload }, () => {})).toEqual(executed);
  expect(await inbox.process({ ...message, payload }, never)).toEqual(replayed);
  expect(await inbox.process({ ...message, payload: other }, never)).toMatchObject({ outcome: 'dead' });
});

test('another payload under an id that was handled is a dead letter at once, and is reported', async () => {
  const told = toldByInbox();
  await inbox.process(message, (tx) => setting.write(tx, 'first'));
  const answer = await inbox.process({ ...message, payload: Buffer.from('changed') }, never);
  const reason =
    'inbox.ledger: a message of this id was handled before with another payload. This one was not handled.';
  expect(answer).toMatchObject({
    outcome: 'dead',
    error: { code: 'IDEMPOTENCY_KEY_REUSED', message: expect.stringContaining(reason) },
  });
  const [letter] = await inbox.deadLetters();
  expect(letter).toMatchObject({ payload: Buffer.from('changed'), failures: 1, crashes: 0 });
  expect(letter!.lastError).toContain(reason);
  expect(told).toMatchObject([{ event: 'dead', consumer: 'ledger', identity: letter!.identity }]);
  const logged = setting.log.find(({ message }) => message.includes(reason));
  expect(logged).toMatchObject({ level: 'error', facts: { identity: letter!.identity } });
  // The one that was handled stays handled, and its redeliveries take nothing away.
  for (const deliveries of [1, 2, 3, 4, 5, 6]) {
    expect(await inbox.process({ ...message, deliveries }, never)).toEqual(replayed);
  }
  expect(await inbox.deadLetters()).toEqual([letter]);
  expect(await setting.effects()).toEqual(['first']);
});

test('a handler that changes what it was given changes nothing for the next one', async () => {
  const payload = { lines: [1, 2] };
  const changing = { ...message, payload, headers: { a: 'b' }, maxAttempts: 1 };
  await inbox.process(changing, () => {
    payload.lines.pop();
    changing.headers.a = 'c';
    throw new Error('no');
  });
  expect(await inbox.deadLetters()).toMatchObject([{ payload: { lines: [1, 2] }, headers: { a: 'b' } }]);
});

test('it is remembered for `inboxTtl`, or its own `ttl`, and is new after that', async () => {
  const ttlOf = async (): Promise<unknown> =>
    (
      await setting.sql<{ ms: string }>(
        'select (extract(epoch from expires_at - completed_at) * 1000)::bigint::text as ms from graphql_idempotency.record',
      )
    ).map(({ ms }) => Number(ms));
  await inbox.process(message, () => {});
  expect(await ttlOf()).toEqual([7 * 24 * 3600 * 1000]);
  await setting.sql('truncate graphql_idempotency.record cascade');
  await inbox.process({ ...message, ttl: 'PT1H' }, () => {});
  expect(await ttlOf()).toEqual([3600 * 1000]);
  const past = `clock_timestamp() - interval '1 hour'`;
  await setting.sql(
    `update graphql_idempotency.record set expires_at = ${past}, takeover_after = ${past}, sweep_after = ${past}`,
  );
  expect(await inbox.process(message, (tx) => setting.write(tx, 'anew'))).toEqual(executed);
  await setting.sql(
    `update graphql_idempotency.record set expires_at = ${past}, takeover_after = ${past}, sweep_after = ${past}`,
  );
  expect(await setting.idempotency.sweep()).toMatchObject({ deleted: 1 });
});

test('one that has expired, and may not be handled anew yet, counts as handled', async () => {
  await inbox.process(message, () => {});
  await setting.sql(
    `update graphql_idempotency.record set expires_at = clock_timestamp() - interval '1 hour',
       takeover_after = clock_timestamp() + interval '1 hour', sweep_after = clock_timestamp() - interval '1 hour'`,
  );
  expect(await inbox.process({ ...message, deliveries: 2 }, never)).toEqual(replayed);
  await setting.idempotency.sweep();
  expect(await inbox.process(message, never)).toEqual(replayed);
  expect(await setting.failures()).toEqual([]);
});

test('a handler may handle another consumer’s message, or guard a call: each commits by itself', async () => {
  const inner = { ...message, consumer: 'inner' };
  const outer = inbox.process(message, async (tx) => {
    await setting.write(tx, 'outer');
    await inbox.process(inner, (own) => setting.write(own, 'inner'));
    await setting.idempotency.guard({ scope: 's', key: 'k' }, ({ tx: own }) => setting.write(own, 'call'));
    throw new Error('no');
  });
  await expect(outer).rejects.toThrow('no');
  expect(await setting.effects()).toEqual(['inner', 'call']);
  expect(await inbox.process(inner, never)).toEqual(replayed);
});
