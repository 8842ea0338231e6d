/** While Postgres cannot be reached a message waits with its broker, however long that takes. */

import { beforeAll, beforeEach, expect, test } from 'vitest';
import { shortTimeouts } from '../faults/postgres/retries.ts';
import { codeOf } from '../guard/direct/calls.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import type { PostgresProxy } from '../support/postgres-proxy.ts';
import type { MessageMatch, ProxyAction } from '../support/proxy-rules.ts';
import { never, startInboxCase } from './inbox-case.ts';
import type { InboxCase } from './inbox-case.ts';

const RECORD_AND_COMMIT: MessageMatch = { from: 'client', type: 'Query', sql: /\.complete\([^]*\bcommit$/ };
const COMMITTED: MessageMatch = { from: 'server', tag: 'COMMIT' };

let setting: InboxCase;
let proxied: InboxCase;
let proxy: PostgresProxy;

beforeAll(async () => {
  setting = await startInboxCase();
  proxy = await startPostgresProxy({ target: setting.url });
  proxied = await startInboxCase({
    beside: setting,
    ...shortTimeouts,
    probeTimeout: 1500,
    postgres: proxy.url,
  });
  return () => proxy.close();
});
beforeEach(async () => {
  await proxy.healAll();
  await proxied.inbox.process({ consumer: 'warm', messageId: 'm', payload: null }, () => {});
  await setting.sql(
    'truncate effects, graphql_idempotency.inbox_failure, graphql_idempotency.record cascade',
  );
});

const message = { consumer: 'ledger', messageId: 'm1', payload: { n: 1 }, maxAttempts: 1, crashLimit: 1 };

test.each([1, 2])(
  'delivery %i while nothing can be reached comes again, and counts as nothing',
  async (deliveries) => {
    await proxy.refuse();
    proxy.cut();
    expect(await codeOf(proxied.inbox.process({ ...message, deliveries }, never))).toBe(
      'IDEMPOTENCY_STORE_UNAVAILABLE',
    );
    await proxy.healAll();
    expect(await setting.failures()).toEqual([]);
    const again = { ...message, deliveries: deliveries + 1 };
    expect(await proxied.inbox.process(again, (tx) => proxied.write(tx, 'a'))).toEqual({
      outcome: 'executed',
    });
    expect(await setting.effects()).toEqual(['a']);
  },
);

test.each<[string, MessageMatch, ProxyAction, string[], string]>([
  ['that Postgres got, whose answer is lost', COMMITTED, 'cut-before', ['a'], 'replayed'],
  ['that Postgres never got', RECORD_AND_COMMIT, 'cut-before', [], 'executed'],
])('a message with a COMMIT %s is handled once', async (_what, match, action, committed, outcome) => {
  const patient = { ...message, maxAttempts: 5 };
  proxy.on(match, action);
  await codeOf(proxied.inbox.process(patient, (tx) => proxied.write(tx, 'a')));
  await proxy.healAll();
  expect(await setting.effects()).toEqual(committed);
  const again = { ...patient, deliveries: 2 };
  expect(await proxied.inbox.process(again, (tx) => proxied.write(tx, 'a'))).toEqual({ outcome });
  expect(await setting.effects()).toEqual(['a']);
  expect(await setting.failures()).toEqual([]);
});

test('a failure that cannot be noted is the delivery’s all the same: it comes again', async () => {
  const failed = proxied.inbox.process(message, async () => {
    await proxy.refuse();
    proxy.cut();
    throw new Error('no');
  });
  await expect(failed).rejects.toThrow();
  await proxy.healAll();
  expect(await setting.failures()).toEqual([]);
});
