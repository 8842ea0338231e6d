/** Kill -9 of a process whose transaction is a library's: nothing happened, or all of it did. */

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from '../../faults/postgres/retries.ts';
import { startChild } from '../../support/child.ts';
import { createDatabase } from '../../support/database.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import type { PostgresProxy } from '../../support/postgres-proxy.ts';
import type { MessageMatch } from '../../support/proxy-rules.ts';
import { PAY, startService } from '../../support/service.ts';
import type { Service } from '../../support/service.ts';
import type { PayingLibrary } from './paying-library.ts';

let proxy: PostgresProxy;
/** The process that is left: clients retry there, in transactions of the store's own. */
let service: Service;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  proxy = await startPostgresProxy({ target: url });
  service = await startService({ databaseUrl: url, options: { ...shortTimeouts, migrate: false } });
});
afterEach(() => proxy.healAll());
afterAll(async () => {
  await service.stop();
  await proxy.close();
});

const points: readonly (readonly [where: string, match: MessageMatch, outcome: 'executed' | 'replayed'])[] = [
  ['between the write and the record', { from: 'client', sql: /\.complete\(/ }, 'executed'],
  ['between the record and COMMIT', { from: 'client', sql: /^commit$/ }, 'executed'],
  ['between COMMIT and its answer', { from: 'server', tag: 'COMMIT' }, 'replayed'],
];

test.each(points)('killed %s', { timeout: 60_000 }, async (where, match, outcome) => {
  const key = where.replaceAll(' ', '-');
  const child = startChild({
    file: new URL('./paying-library.ts', import.meta.url),
    env: { CHILD_DATABASE_URL: proxy.url },
  });
  const { url } = await child.message<PayingLibrary>((message) => 'url' in message, { timeoutMs: 30_000 });
  const reached = proxy.on(match, outcome === 'executed' ? 'blackhole' : 'hold');
  const paying = fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer alice', 'idempotency-key': key },
    body: JSON.stringify({ query: PAY, variables: { note: key } }),
  }).then(
    () => 'answered',
    () => 'no answer',
  );
  await reached.matched;
  if (outcome === 'executed') expect(outcomeOf(await pay(service, key))).toBe('IDEMPOTENCY_IN_PROGRESS');
  await child.kill();
  expect(await paying).toBe('no answer');
  // What was kept back is lost with the process.
  proxy.cut();
  await expectOnePayment(service, key, outcome);
  expect(await paidFor(service, key)).toBe(1);
});
