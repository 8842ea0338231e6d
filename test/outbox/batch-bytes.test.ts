/** A claim takes as many bytes as are wanted and no more, whatever the events' number. */

import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { eventually } from '../support/signal.ts';
import { startOutboxCase } from './outbox-case.ts';
import { SCHEMA, startStoreCase, topicsOf } from './store-case.ts';
import type { StoreCase } from './store-case.ts';

/** The headers of an event here: `{}`. */
const HEADERS = 2;

let url: string;
let setting: StoreCase;

beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});
beforeEach(async () => {
  setting = await startStoreCase(url);
});

const bytes = (payload: number): { bytes: number } => ({ bytes: payload - HEADERS });

test('events are taken until their bytes are as many as are wanted; the next claim has the rest', async () => {
  for (const topic of ['a', 'b', 'c', 'd', 'e']) await setting.insert(topic, undefined, bytes(100));
  const first = await setting.claim({ maxBytes: 299 });
  expect([topicsOf(first), first.cutShort]).toEqual([['a', 'b'], true]);
  const second = await setting.claim({ maxBytes: 300 });
  expect([topicsOf(second), second.cutShort]).toEqual([['c', 'd', 'e'], false]);
});

test('one that is too large for any claim goes alone', async () => {
  for (const topic of ['a', 'b']) await setting.insert(topic, undefined, bytes(5000));
  for (const [topic, cutShort] of [
    ['a', true],
    ['b', false],
  ] as const) {
    const claimed = await setting.claim({ maxBytes: 10 });
    expect([topicsOf(claimed), claimed.cutShort]).toEqual([[topic], cutShort]);
  }
});

test('a smaller one does not pass by one that there is no room for', async () => {
  await setting.insert('a', undefined, bytes(100));
  await setting.insert('large', undefined, bytes(1000));
  await setting.insert('c', undefined, bytes(100));
  expect(topicsOf(await setting.claim({ maxBytes: 500 }))).toEqual(['a']);
  expect(topicsOf(await setting.claim({ maxBytes: 500 }))).toEqual(['large']);
});

test('what was left is found by a look that begins where this one has ended', async () => {
  for (const topic of ['a', 'b', 'c']) await setting.insert(topic, undefined, bytes(100));
  const { doneMs } = await setting.claim({ maxBytes: 100 });
  expect(topicsOf(await setting.claim({ sinceMs: doneMs! - 1 }))).toEqual(['b', 'c']);
});

describe('of a key', () => {
  test('those that go along are the first ones, however small a later one is', async () => {
    await setting.insert('a', 'k', bytes(100));
    await setting.insert('large', 'k', bytes(1000));
    await setting.insert('c', 'k', bytes(10));
    const claimed = await setting.claim({ maxBytes: 500 });
    expect([topicsOf(claimed), claimed.cutShort]).toEqual([['a'], true]);
    expect(topicsOf(await setting.claim())).toEqual([]);
    await setting.publish(claimed);
    expect(topicsOf(await setting.claim())).toEqual(['large', 'c']);
  });

  test('they go as long as there is room', async () => {
    for (const topic of ['a', 'b', 'c', 'd']) await setting.insert(topic, 'k', bytes(100));
    expect(topicsOf(await setting.claim({ maxBytes: 300 }))).toEqual(['a', 'b', 'c']);
  });
});

test('a payload that is stored out of line counts with all its bytes', async () => {
  await setting.client.query(
    `insert into ${SCHEMA}.outbox (event_id, namespace, topic, headers, payload)
     select gen_random_uuid(), '', n::text, '{}', string_agg(sha256(convert_to(n || ':' || m, 'UTF8')), '')
     from generate_series(1, 3) as n, generate_series(1, 1000) as m group by n order by n`,
  );
  expect(topicsOf(await setting.claim({ maxBytes: 70_000 }))).toEqual(['1', '2']);
});

test('a relay goes on at once where bytes were left, and publishes them all', async () => {
  const relayed = await startOutboxCase();
  await relayed.add(
    ...Array.from({ length: 30 }, (_, at) => ({
      payload: 'x'.repeat(100),
      ...(at % 2 === 0 && { key: 'k' }),
    })),
  );
  const sizes: number[] = [];
  const publisher = {
    publish: async (events: readonly unknown[]) => {
      sizes.push(events.length);
      return events.map(() => undefined);
    },
  };
  // It would never come to the next batch if it waited for it.
  const relay = relayed.relay({ publisher, maxBatchBytes: 300, pollMinMs: 60_000, pollMaxMs: 60_000 });
  relay.start();
  await eventually(async () => (await relayed.rows()).length === 0, { timeoutMs: 20_000 });
  expect(sizes.every((size) => size <= 2)).toBe(true);
});
