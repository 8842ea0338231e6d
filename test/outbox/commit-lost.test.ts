/** COMMIT without an answer: whatever became of it, its event is published once, and only if it was committed. */

import { beforeAll, beforeEach, expect, test } from 'vitest';
import { shortTimeouts } from '../faults/postgres/retries.ts';
import { codeOf } from '../guard/direct/calls.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import type { PostgresProxy } from '../support/postgres-proxy.ts';
import type { MessageMatch, ProxyAction } from '../support/proxy-rules.ts';
import { payloadOf, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

const RECORD_AND_COMMIT: MessageMatch = { from: 'client', type: 'Query', sql: /\.complete\([^]*\bcommit$/ };
const COMMITTED: MessageMatch = { from: 'server', tag: 'COMMIT' };

let setting: OutboxCase;
let proxied: OutboxCase;
let proxy: PostgresProxy;
let keys = 0;

beforeAll(async () => {
  setting = await startOutboxCase();
  proxy = await startPostgresProxy({ target: setting.url });
  proxied = await startOutboxCase({ beside: setting, ...shortTimeouts, postgres: proxy.url });
  return () => proxy.close();
});
beforeEach(async () => {
  await setting.sql('truncate graphql_idempotency.outbox, effects');
  await proxied.add({ topic: 'warm' });
  await setting.relay().drain();
});

async function pay(key: string): Promise<unknown> {
  const answer = await codeOf(
    proxied.idempotency.guard({ scope: 'alice', key }, async ({ tx, outbox }) => {
      await proxied.write(tx, key);
      return outbox.add({ topic: 't', payload: key });
    }),
  );
  return (answer as { outcome?: string }).outcome ?? answer;
}

test.each<[string, MessageMatch, ProxyAction, unknown, number]>([
  ['that Postgres got, whose answer is lost', COMMITTED, 'cut-before', 'replayed', 1],
  ['that Postgres never got', RECORD_AND_COMMIT, 'cut-before', 'IDEMPOTENCY_TRANSACTION_ABORTED', 0],
])('a COMMIT %s', async (_what, match, action, expected, committed) => {
  const key = `lost-${(keys += 1)}`;
  proxy.on(match, action);
  expect(await pay(key)).toBe(expected);
  await proxy.healAll();
  const relay = setting.relay();
  await relay.drain();
  expect(relay.published.map(payloadOf)).toEqual(Array.from({ length: committed }, () => key));
  // The retry finds it, or commits it now.
  expect(await pay(key)).toBe(committed === 1 ? 'replayed' : 'executed');
  await relay.drain();
  expect(relay.published.map(payloadOf)).toEqual([key]);
  expect(await setting.effects()).toEqual([key]);
});
