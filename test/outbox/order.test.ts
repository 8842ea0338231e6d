/** Events of one key are published in the order in which they were added, whoever publishes them, and whatever fails. */

import type { OutboxEvent, PublishOutcome } from 'graphql-idempotency';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../support/signal.ts';
import { payloadOf, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;
let beside: OutboxCase;

beforeAll(async () => {
  setting = await startOutboxCase();
  beside = await startOutboxCase({ beside: setting });
});
beforeEach(async () => {
  await setting.sql('truncate graphql_idempotency.outbox, graphql_idempotency.outbox_pause');
});

interface Numbered {
  readonly key: string;
  readonly payload: number;
}

const KEYS = ['a', 'b', 'c', 'd'];
const numbered = (count: number): Numbered[] =>
  Array.from({ length: count * KEYS.length }, (_, at) => ({
    key: KEYS[at % KEYS.length]!,
    payload: Math.floor(at / KEYS.length),
  }));
const empty = async (): Promise<boolean> => (await setting.rows()).length === 0;
const ascending = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

/** What was published, in that order, by key. */
function ledger() {
  const byKey = new Map<string, number[]>();
  const note = ({ key, ...event }: OutboxEvent): void => {
    const list = byKey.get(key!) ?? [];
    list.push(payloadOf(event) as number);
    byKey.set(key!, list);
  };
  return { byKey, note };
}

test('by six relays, a third of whose first tries fail', async () => {
  const { byKey, note } = ledger();
  const publish = async (event: OutboxEvent): Promise<void> => {
    // One turn: others may publish in between.
    await new Promise(setImmediate);
    if (event.attempt === 1 && (payloadOf(event) as number) % 3 === 0) throw new Error('first try');
    note(event);
  };
  const relays = [setting, beside].flatMap((one) =>
    [3, 10, 100].map((batchSize) => one.relay({ batchSize, publish })),
  );
  for (const relay of relays) relay.start();
  const events = numbered(30);
  for (let at = 0; at < events.length; at += KEYS.length) {
    await Promise.all(events.slice(at, at + KEYS.length).map((event) => setting.add(event)));
  }
  await eventually(empty, { timeoutMs: 20_000 });
  expect(Object.fromEntries(byKey)).toEqual(Object.fromEntries(KEYS.map((key) => [key, ascending(30)])));
});

test('by a publisher that takes batches: never two of a key at once, and none after a failure', async () => {
  const { byKey, note } = ledger();
  const waves: number[] = [];
  const publisher = {
    publish: async (events: readonly OutboxEvent[]): Promise<readonly PublishOutcome[]> => {
      expect(new Set(events.map(({ key }) => key)).size).toBe(events.length);
      waves.push(events.length);
      return events.map((event) => {
        if (event.attempt === 1 && (payloadOf(event) as number) % 4 === 1) return new Error('first try');
        note(event);
        return undefined;
      });
    },
  };
  await setting.add(...numbered(12));
  const relay = setting.relay({ publisher });
  relay.start();
  await eventually(empty);
  expect(Object.fromEntries(byKey)).toEqual(Object.fromEntries(KEYS.map((key) => [key, ascending(12)])));
  expect(waves[0]).toBe(KEYS.length);
});

test('in one claim: a key’s events go along with its first one', async () => {
  await setting.add(...numbered(10));
  const { byKey, note } = ledger();
  const relay = setting.relay({ batchSize: 40, publish: note });
  expect(await relay.drain()).toMatchObject({ published: 40 });
  expect([...byKey.values()]).toEqual(KEYS.map(() => ascending(10)));
});

test('behind a failure nothing of the key is tried, and what was not tried is not counted', async () => {
  await setting.add(...ascending(4).map((payload) => ({ key: 'k', payload })));
  const relay = setting.relay({
    backoffMs: 60_000_000,
    maxBackoffMs: 60_000_000,
    publish: (event: OutboxEvent) => {
      if (payloadOf(event) === 1) throw new Error('no');
    },
  });
  await relay.drain();
  expect(relay.tried.map(payloadOf)).toEqual([0, 1]);
  expect(await setting.rows()).toMatchObject([
    { started: 1, finished: 1, state: 'waiting' },
    { started: 0, finished: 0, state: 'parked' },
    { started: 0, finished: 0, state: 'parked' },
  ]);
});

test('a dead letter holds its key, and no other, until it is redriven', async () => {
  let broken = true;
  const publish = (event: OutboxEvent): void => {
    if (broken && payloadOf(event) === 0 && event.key === 'a') throw new Error('no');
  };
  await setting.add(...numbered(3));
  const relay = setting.relay({ maxAttempts: 1, publish });
  await relay.drain();
  expect(relay.published.every(({ key }) => key !== 'a')).toBe(true);
  expect(relay.published).toHaveLength(9);
  await setting.add({ key: 'a', payload: 3 });
  await relay.drain();
  expect((await setting.rows()).map(({ state }) => state)).toEqual(['dead', 'parked', 'parked', 'parked']);
  broken = false;
  await relay.redrive({});
  await relay.drain();
  expect(relay.published.slice(9).map(payloadOf)).toEqual([0, 1, 2, 3]);
});

test('a dead letter that is discarded lets its key go on', async () => {
  await setting.add(...ascending(3).map((payload) => ({ key: 'k', payload })));
  const relay = setting.relay({
    maxAttempts: 1,
    publish: (event: OutboxEvent) => {
      if (payloadOf(event) === 0) throw new Error('no');
    },
  });
  await relay.drain();
  await relay.drain();
  expect(relay.published).toEqual([]);
  expect(await relay.discard({})).toBe(1);
  await relay.drain();
  expect(relay.published.map(payloadOf)).toEqual([1, 2]);
});

test('a key with many events in front of all others keeps none of them waiting', async () => {
  await setting.add({ key: 'k', payload: 0 });
  await setting.sql(
    `insert into graphql_idempotency.outbox (event_id, namespace, topic, ordering_key, headers, payload)
     select gen_random_uuid(), '', 't', 'k', '{}', convert_to(n::text, 'UTF8') from generate_series(1, 500) as n`,
  );
  await setting.add({ payload: 'other' });
  const relay = setting.relay({
    batchSize: 20,
    backoffMs: 60_000_000,
    maxBackoffMs: 60_000_000,
    publish: (event: OutboxEvent) => {
      if (event.key === 'k') throw new Error('no');
    },
  });
  await relay.drain();
  expect(relay.published.map(payloadOf)).toEqual(['other']);
  const states = (await setting.rows()).map(({ state }) => state);
  expect(states).toEqual(['waiting', ...Array.from({ length: 500 }, () => 'parked')]);
});

test('an event of a paused topic holds its key, over all topics, until it is resumed', async () => {
  const relay = setting.relay();
  await relay.pause('slow');
  await setting.add({ topic: 'slow', key: 'k', payload: 0 }, { topic: 'fast', key: 'k', payload: 1 });
  await relay.drain();
  expect(relay.tried).toEqual([]);
  await relay.resume('slow');
  await relay.drain();
  expect(relay.published.map(payloadOf)).toEqual([0, 1]);
});

test('relays of different topics hand a key over to each other', async () => {
  const { byKey, note } = ledger();
  await setting.add(
    ...ascending(12).map((payload) => ({ topic: payload % 2 === 0 ? 'even' : 'odd', key: 'k', payload })),
  );
  for (const topic of ['even', 'odd']) setting.relay({ topics: [topic], publish: note }).start();
  await eventually(empty);
  expect(byKey.get('k')).toEqual(ascending(12));
});
