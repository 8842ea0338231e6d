/** What stands behind another of its key is woken when that has gone, in whatever order transactions commit. */

import type { Client } from 'pg';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { eventually } from '../support/signal.ts';
import { connect } from '../store/postgres/connection.ts';
import { SCHEMA, startStoreCase, topicsOf } from './store-case.ts';
import type { StoreCase } from './store-case.ts';

let url: string;
let setting: StoreCase;
let other: Client;

beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});
beforeEach(async () => {
  setting = await startStoreCase(url);
  other = await connect(url);
});

/** Inserts an event in a transaction that stays open: others that are added now come behind it. */
async function insertLate(topic: string): Promise<{ commit: () => Promise<unknown> }> {
  await other.query('begin');
  await setting.insert(topic, 'k', { by: other });
  return { commit: () => other.query('commit') };
}

test('one that is committed late, between two that a relay holds, is woken when those have gone', async () => {
  await setting.insert('a', 'k');
  const late = await insertLate('b');
  await setting.insert('c', 'k');
  const held = await setting.claim();
  expect(topicsOf(held)).toEqual(['a', 'c']);
  await late.commit();
  await setting.insert('d', 'k');
  // Parks what is behind them.
  await setting.claim();
  expect((await setting.rows()).map(({ state }) => state)).toEqual(['later', 'parked', 'later', 'parked']);
  expect(await setting.publish(held)).toBe(2);
  expect(topicsOf(await setting.claim())).toEqual(['b', 'd']);
});

test('nothing is parked for one that stands further in front, while the next in front is being removed', async () => {
  // b is held by one relay when a is committed, which another then holds.
  const late = await insertLate('a');
  await setting.insert('b', 'k');
  const second = await setting.claim();
  await late.commit();
  const first = await setting.claim();
  expect([topicsOf(second), topicsOf(first)]).toEqual([['b'], ['a']]);
  await setting.insert('c', 'k');

  // The second relay has removed b, and looked for what is behind it, but not committed.
  await other.query('begin');
  await other.query(`delete from ${SCHEMA}.outbox where topic = 'b'`);
  await setting.claim();
  expect(await setting.publish(first)).toBe(1);
  await other.query('commit');
  expect(topicsOf(await setting.claim())).toEqual(['c']);
});

test('a dead letter that is discarded while the one in front of it is removed leaves nothing parked', async () => {
  const late = await insertLate('a');
  await setting.insert('b', 'k');
  await setting.bury(await setting.claim());
  await late.commit();
  const first = await setting.claim();
  expect(topicsOf(first)).toEqual(['a']);
  await setting.insert('c', 'k');
  await setting.claim();
  expect((await setting.rows()).map(({ state }) => state)).toEqual(['later', 'dead', 'parked']);

  // The first has been removed, and what is behind it was looked for: a dead letter. Not committed yet.
  await other.query('begin');
  await other.query(`delete from ${SCHEMA}.outbox where topic = 'a'`);
  expect(await setting.store.discardEvents({ topic: undefined })).toBe(1);
  await other.query('commit');
  expect(topicsOf(await setting.claim())).toEqual(['c']);
});

test('dead letters are discarded however many there are, each with what waits for it', async () => {
  await setting.client.query(
    `insert into ${SCHEMA}.outbox (event_id, namespace, topic, ordering_key, headers, payload, available_at, dead_at)
     select gen_random_uuid(), '', 'dead', 'k' || n, '{}', '', 'infinity', now() from generate_series(1, 2500) as n`,
  );
  for (const key of ['k1', 'k2500']) await setting.insert(key, key);
  await setting.claim();
  expect((await setting.rows()).at(-1)).toMatchObject({ state: 'parked' });
  expect(await setting.store.discardEvents({ topic: 'dead' })).toBe(2500);
  expect(topicsOf(await setting.claim())).toEqual(['k1', 'k2500']);
});

test('one that is parked for a dead letter waits while that is redriven, and comes after it', async () => {
  await setting.insert('a', 'k');
  await setting.bury(await setting.claim());
  await setting.insert('b', 'k');
  await setting.claimOpen();
  const redriven = setting.store.redriveEvents({ topic: undefined });
  await setting.client.query('commit');
  expect(await redriven).toBe(1);
  const held = await setting.claim({ limit: 1 });
  expect(topicsOf(held)).toEqual(['a']);
  await setting.publish(held);
  expect(topicsOf(await setting.claim())).toEqual(['b']);
});

test('one of another relay’s topic that is parked for the first is woken by whoever publishes that', async () => {
  await setting.insert('a', 'k');
  await setting.insert('b', 'k');
  const held = await setting.claim({ topics: ['a'] });
  await setting.claimOpen({ topics: ['b'] });
  const published = setting.publish(held);
  await eventually(async () => (await setting.waiting()) === 1);
  await setting.client.query('commit');
  expect(await published).toBe(1);
  expect(topicsOf(await setting.claim({ topics: ['a'] }))).toEqual([]);
  expect(topicsOf(await setting.claim({ topics: ['b'] }))).toEqual(['b']);
});
