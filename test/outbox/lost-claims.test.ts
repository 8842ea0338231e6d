/** A claim whose answer is lost is given back at once, and does not count as the death of a relay. */

import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { StoreUnavailableError } from '../../src/store/port.ts';
import type { OutboxStore } from '../../src/store/outbox-port.ts';
import { createDatabase } from '../support/database.ts';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import type { PostgresProxy } from '../support/postgres-proxy.ts';
import { eventually } from '../support/signal.ts';
import { SCHEMA, openStore, startStoreCase, terms, topicsOf } from './store-case.ts';
import type { StoreCase } from './store-case.ts';

const COMMITTED = { from: 'server', tag: 'COMMIT' } as const;
const GIVEN_BACK = { from: 'client', type: 'Query', sql: /set started = o\.started - 1/ } as const;

let url: string;
let proxy: PostgresProxy;
let setting: StoreCase;
/** The same outbox, by way of the proxy. */
let proxied: OutboxStore;

beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});
beforeEach(async () => {
  setting = await startStoreCase(url);
  proxy = await startPostgresProxy({ target: url });
  onTestFinished(() => proxy.close());
  proxied = openStore(proxy.url);
  // Connects, and finds nothing.
  await proxied.claimEvents(terms());
});

/** Of the only row: another after each update. */
async function version(): Promise<string> {
  const { rows } = await setting.client.query<{ version: string }>(
    `select xmin::text as version from ${SCHEMA}.outbox`,
  );
  return rows[0]!.version;
}

const asNew = { started: 0, claim: null, state: 'ready' };

test('what a claim took whose answer is lost is ready at once, and nothing is counted', async () => {
  await setting.insert('other');
  const other = await setting.claim();
  for (const topic of ['a', 'b', 'c']) await setting.insert(topic, topic === 'a' ? undefined : 'k');
  proxy.on(COMMITTED, 'cut-before');
  await expect(proxied.claimEvents(terms())).rejects.toThrow(StoreUnavailableError);
  await eventually(async () => (await setting.rows()).filter(({ state }) => state === 'ready').length === 3);
  // Of another relay's claim nothing was given back.
  expect(await setting.rows()).toMatchObject([
    { topic: 'other', started: 1, claim: other.token, state: 'later' },
    { topic: 'a', ...asNew },
    { topic: 'b', ...asNew },
    { topic: 'c', ...asNew },
  ]);
  expect(topicsOf(await setting.claim())).toEqual(['a', 'b', 'c']);
});

test('it is given back although its connection is gone and no other can be had for a while', async () => {
  await setting.insert('a');
  const answered = proxy.on(COMMITTED, 'hold');
  const claiming = proxied.claimEvents(terms());
  await answered.matched;
  await proxy.refuse();
  proxy.cut();
  await expect(claiming).rejects.toThrow(StoreUnavailableError);
  expect(await setting.rows()).toMatchObject([{ started: 1, state: 'later' }]);
  await proxy.healAll();
  await eventually(async () => (await setting.rows())[0]!.state === 'ready');
  expect(await setting.rows()).toMatchObject([asNew]);
});

test('a claim that Postgres finishes after somebody has looked for it is given back, too', async () => {
  await setting.insert('a');
  // Keeps a claim from finishing, and nothing else.
  await setting.client.query(`begin; lock table ${SCHEMA}.outbox_pause in access exclusive mode`);
  const claiming = proxied.claimEvents(terms());
  await eventually(async () => (await setting.waiting()) === 1);
  const lookedFor = proxy.on(GIVEN_BACK, 'observe');
  proxy.cut();
  await expect(claiming).rejects.toThrow(StoreUnavailableError);
  await lookedFor.matched;
  const before = await version();
  await setting.client.query('commit');
  // Taken by the claim, and given back.
  await eventually(async () => (await version()) !== before && (await setting.rows())[0]!.state === 'ready');
  expect(await setting.rows()).toMatchObject([asNew]);
});

test('a claim that Postgres has refused holds nothing, and nothing is given back', async () => {
  await setting.insert('a');
  await setting.client.query(
    `create function ${SCHEMA}.refuse() returns trigger language plpgsql as
       $$ begin raise exception using errcode = 'deadlock_detected'; end $$;
     create trigger refuse before update on ${SCHEMA}.outbox for each row execute function ${SCHEMA}.refuse()`,
  );
  let given = 0;
  proxy.on({ ...GIVEN_BACK, where: () => (given += 1) > 0 }, 'observe');
  await expect(proxied.claimEvents(terms())).rejects.toThrow(StoreUnavailableError);
  await setting.client.query(`drop function ${SCHEMA}.refuse() cascade`);
  expect(await setting.rows()).toMatchObject([asNew]);
  expect(topicsOf(await setting.claim())).toEqual(['a']);
  expect(given).toBe(0);
});
