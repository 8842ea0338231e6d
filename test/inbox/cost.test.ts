/** What a message costs, counted on the wire: what a guarded call costs. */

import { beforeAll, expect, test } from 'vitest';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import type { PostgresProxy } from '../support/postgres-proxy.ts';
import type { PostgresCounts } from '../support/postgres-tally.ts';
import { failing, never, startInboxCase } from './inbox-case.ts';
import type { InboxCase } from './inbox-case.ts';

let setting: InboxCase;
let proxy: PostgresProxy;
let ids = 0;

beforeAll(async () => {
  const direct = await startInboxCase();
  proxy = await startPostgresProxy({ target: direct.url, replyDelayMs: 25 });
  setting = await startInboxCase({ beside: direct, postgres: proxy.url });
  // What a connection costs when it is new is not counted: that of attempts, and the reserved one.
  const warm = newMessage();
  await expect(setting.inbox.process({ ...warm, deliveries: 2 }, failing)).rejects.toThrow('no');
  await setting.inbox.process(warm, () => {});
  return () => proxy.close();
});

const newMessage = () => ({ consumer: 'ledger', messageId: `m${(ids += 1)}`, payload: { n: 1 } });

async function costOf(work: () => Promise<unknown>): Promise<PostgresCounts> {
  proxy.reset();
  await work();
  return proxy.counts();
}
const countsOf = ({ roundTrips, commits, autocommits, connections }: PostgresCounts) => ({
  roundTrips,
  commits,
  autocommits,
  connections,
});

test('a message takes the round trips, statements and commits of a guarded call, and no more', async () => {
  const call = await costOf(() =>
    setting.idempotency.guard({ scope: 's', key: 'k', payload: { n: 1 } }, ({ tx }) =>
      setting.write(tx, 'a'),
    ),
  );
  const message = await costOf(() => setting.inbox.process(newMessage(), (tx) => setting.write(tx, 'a')));
  expect(countsOf(message)).toEqual(countsOf(call));
  expect(countsOf(message)).toEqual({ roundTrips: 3, commits: 1, autocommits: 0, connections: 0 });
  expect(message.statements).toHaveLength(call.statements.length);
});

test('so does one that has failed before; a redelivery notes its beginning first, which is one more', async () => {
  for (const [deliveries, roundTrips, commits] of [
    [1, 3, 1],
    [2, 4, 2],
  ]) {
    const message = newMessage();
    await expect(setting.inbox.process(message, failing)).rejects.toThrow('no');
    const cost = await costOf(() =>
      setting.inbox.process({ ...message, deliveries }, (tx) => setting.write(tx, 'a')),
    );
    expect(countsOf(cost)).toEqual({ roundTrips, commits, autocommits: 0, connections: 0 });
  }
  expect(await setting.failures()).toEqual([]);
});

test('a handler that waits before its first statement costs nothing more', async () => {
  const cost = await costOf(() =>
    setting.inbox.process(newMessage(), async (tx) => {
      await new Promise(setImmediate);
      await setting.write(tx, 'a');
    }),
  );
  expect(cost.roundTrips).toBe(3);
});

test('nothing is said of a success that wrote through its transaction', async () => {
  const message = newMessage();
  await expect(setting.inbox.process(message, failing)).rejects.toThrow('no');
  await setting.inbox.process(message, (tx) => setting.write(tx, 'a'));
  await setting.inbox.process(message, never);
  expect(setting.log.filter(({ message }) => message.includes('without writing'))).toHaveLength(1);
});
