/** The outbox by itself: whose writes count, what is parked and woken, and what a claim may take. */

import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type {
  ClaimedEvents,
  EventClaim,
  NewEvent,
  OutboxStore,
  StoredEvent,
} from '../../../src/store/outbox-port.ts';
import { claimEvents } from '../../../src/store/postgres/events/claim-events.ts';
import type { PostgresStore } from '../../../src/store/postgres/postgres-store.ts';
import { postgresOn } from '../../outbox/store-case.ts';
import { createDatabase } from '../../support/database.ts';
import { eventually } from '../../support/signal.ts';
import { connect } from './connection.ts';

const SCHEMA = 'graphql_idempotency';

let postgres: PostgresStore;
let store: OutboxStore;
let client: Client;
let url: string;

beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
  postgres = postgresOn(url);
  store = postgres.outbox;
  return () => postgres.close();
});
beforeEach(async () => {
  client = await connect(url);
  await client.query(`truncate ${SCHEMA}.outbox, ${SCHEMA}.outbox_pause`);
});

async function insert(topic: string, key: string | null = null): Promise<void> {
  await client.query(
    `insert into ${SCHEMA}.outbox (event_id, namespace, topic, ordering_key, headers, payload)
     values ($1, '', $2, $3, '{}', '')`,
    [randomUUID(), topic, key],
  );
}

const terms = (more: Partial<EventClaim> = {}): EventClaim => ({
  token: randomUUID(),
  topics: undefined,
  limit: 10,
  maxBytes: 1_000_000,
  leaseMs: 60_000,
  crashLimit: 3,
  sinceMs: undefined,
  ...more,
});

async function claim(more: Partial<EventClaim> = {}): Promise<ClaimedEvents & { readonly token: string }> {
  const { token, ...rest } = terms(more);
  return { token, ...(await store.claimEvents({ token, ...rest })) };
}

const topicsOf = ({ events }: { readonly events: readonly StoredEvent[] }): string[] =>
  events.map(({ topic }) => topic);

interface Row {
  readonly topic: string;
  readonly started: number;
  readonly finished: number;
  readonly claim: string | null;
  readonly state: string;
}

async function rows(): Promise<Row[]> {
  const { rows: found } = await client.query<Row>(
    `select topic, started, finished, claim::text as claim, case
       when dead_at is not null then 'dead' when available_at = 'infinity' then 'parked'
       when available_at > clock_timestamp() then 'later' else 'ready' end as state
     from ${SCHEMA}.outbox order by position`,
  );
  return found;
}

const lapse = () =>
  client.query(`update ${SCHEMA}.outbox set available_at = clock_timestamp() where claim is not null`);
const nothing = { published: [], failed: [], released: [] };

describe('whoever lost its claim', () => {
  let first: ClaimedEvents & { readonly token: string };
  let second: ClaimedEvents & { readonly token: string };
  beforeEach(async () => {
    await insert('a');
    first = await claim();
    await lapse();
    second = await claim();
    expect([topicsOf(first), topicsOf(second)]).toEqual([['a'], ['a']]);
  });

  test.each([
    ['remove', (events: readonly StoredEvent[]) => ({ published: events })],
    ['give back', (events: readonly StoredEvent[]) => ({ released: events })],
    [
      'fail',
      ([event]: readonly StoredEvent[]) => ({ failed: [{ event: event!, error: 'no', retryInMs: 0 }] }),
    ],
    [
      'bury',
      ([event]: readonly StoredEvent[]) => ({
        failed: [{ event: event!, error: 'no', retryInMs: undefined }],
      }),
    ],
  ])('cannot %s what another holds', async (_what, finished) => {
    const before = await rows();
    expect(await store.finishEvents({ token: first.token, ...nothing, ...finished(first.events) })).toBe(0);
    expect(await rows()).toEqual(before);
    expect(before).toMatchObject([{ claim: second.token, started: 2 }]);
  });

  test('learns it from its renewal, and does not renew the other’s', async () => {
    const positions = first.events.map(({ position }) => position);
    expect(await store.renewEvents(first.token, positions, 60_000)).toEqual(new Set());
    expect(await store.renewEvents(second.token, positions, 60_000)).toEqual(new Set(positions));
  });
});

test('what is finished twice, because its answer was lost, is finished once', async () => {
  await insert('a');
  await insert('b');
  const { token, events } = await claim();
  const failed = [{ event: events[0]!, error: 'no', retryInMs: 60_000 }];
  for (const expected of [2, 0]) {
    expect(await store.finishEvents({ token, published: [events[1]!], failed, released: [] })).toBe(expected);
    expect(await rows()).toMatchObject([{ topic: 'a', started: 1, finished: 1, claim: null }]);
  }
});

test('two claims at once share what is ready, and wait for nobody', async () => {
  for (const topic of ['a', 'b', 'c']) await insert(topic);
  await client.query('begin');
  await client.query(claimEvents(SCHEMA, '', terms({ limit: 1 })));
  expect(topicsOf(await claim())).toEqual(['b', 'c']);
  await client.query('rollback');
  expect(topicsOf(await claim())).toEqual(['a']);
});

describe('of a key', () => {
  test('a claim takes what it has room for, from the front', async () => {
    for (const topic of ['a', 'b', 'c', 'd']) await insert(topic, 'k');
    await insert('x');
    expect(topicsOf(await claim({ limit: 2 }))).toEqual(['a', 'b']);
    // The rest is behind what is claimed.
    expect(topicsOf(await claim())).toEqual(['x']);
  });

  test('nothing is taken behind one that somebody else holds a lock on', async () => {
    for (const topic of ['a', 'b', 'c']) await insert(topic, 'k');
    await client.query('begin');
    await client.query(`select from ${SCHEMA}.outbox where topic = 'b' for update`);
    expect(topicsOf(await claim())).toEqual(['a']);
    await client.query('rollback');
  });

  test('what is parked while the one in front goes is woken by that', async () => {
    await insert('a', 'k');
    const front = await claim({ limit: 1 });
    await insert('b', 'k');
    // A claim that has parked it, and is not committed yet.
    await client.query('begin');
    await client.query(claimEvents(SCHEMA, '', terms()));
    expect((await rows())[1]).toMatchObject({ topic: 'b', state: 'parked' });
    const finished = store.finishEvents({ token: front.token, ...nothing, published: front.events });
    await eventually(somebodyWaits);
    await client.query('commit');
    expect(await finished).toBe(1);
    expect(await rows()).toMatchObject([{ topic: 'b', state: 'ready' }]);
  });

  test('what is parked while its dead letter is discarded is woken by that', async () => {
    await insert('a', 'k');
    const { token, events } = await claim();
    await store.finishEvents({
      token,
      ...nothing,
      failed: [{ event: events[0]!, error: 'no', retryInMs: undefined }],
    });
    await insert('b', 'k');
    await client.query('begin');
    await client.query(claimEvents(SCHEMA, '', terms()));
    const discarded = store.discardEvents({ topic: undefined });
    await eventually(somebodyWaits);
    await client.query('commit');
    expect(await discarded).toBe(1);
    expect(await rows()).toMatchObject([{ topic: 'b', state: 'ready' }]);
  });
});

test('what is parked while its topic is resumed is woken by that', async () => {
  await store.pauseEvents('a');
  await insert('a');
  await client.query('begin');
  await client.query(claimEvents(SCHEMA, '', terms()));
  expect(await rows()).toMatchObject([{ state: 'parked' }]);
  const resumed = store.resumeEvents('a');
  await eventually(somebodyWaits);
  await client.query('commit');
  await resumed;
  expect(topicsOf(await claim())).toEqual(['a']);
});

describe('what a claim says of where to look next', () => {
  test('nothing before that moment is left, where it took all', async () => {
    await insert('a');
    const { doneMs } = await claim();
    await insert('b');
    expect(topicsOf(await claim({ sinceMs: doneMs! }))).toEqual(['b']);
  });

  test('where it took a part, the rest is behind it', async () => {
    for (const topic of ['a', 'b', 'c']) await insert(topic);
    const { doneMs, events } = await claim({ limit: 2 });
    expect(events).toHaveLength(2);
    expect(topicsOf(await claim({ sinceMs: doneMs! - 1 }))).toEqual(['c']);
  });

  test('what it has looked at and left is behind it, too', async () => {
    await insert('suspect');
    await client.query(`update ${SCHEMA}.outbox set started = 3`);
    await insert('other');
    const { doneMs, events } = await claim();
    expect(events.map(({ topic }) => topic)).toEqual(['suspect']);
    expect(topicsOf(await claim({ sinceMs: doneMs! - 1 }))).toEqual(['other']);
  });

  test('nothing can be said while all is paused', async () => {
    await store.pauseEvents('');
    await insert('a');
    expect(await claim()).toMatchObject({ events: [], doneMs: undefined });
  });
});

test('the clocks of rows that wait do not count as lag of what is published', async () => {
  expect(await store.countEvents()).toEqual({ ready: 0, waiting: 0, parked: 0, dead: 0, lagMs: 0 });
  await insert('a', 'k');
  await insert('b', 'k');
  await insert('c');
  await claim({ limit: 1 });
  await claim();
  expect(await store.countEvents()).toMatchObject({ ready: 0, waiting: 2, parked: 1, dead: 0 });
});

describe('a hint that there may be something to claim', () => {
  const event: NewEvent = {
    eventId: '',
    topic: 't',
    orderingKey: undefined,
    headers: {},
    payload: Buffer.from('1'),
  };
  const attempt = async (
    by: PostgresStore,
    end: 'commitUnrecorded' | 'rollback',
    events = 1,
  ): Promise<void> => {
    const { addEvent, ...attempt } = await by.begin('call');
    for (let at = 0; at < events; at += 1) addEvent({ ...event, eventId: randomUUID() });
    await attempt[end]();
  };
  const watch = (remote: boolean): { readonly heard: () => number } => {
    let hints = 0;
    onTestFinished(store.watchEvents(() => (hints += 1), remote));
    return { heard: () => hints };
  };
  const listeners = async (): Promise<number> =>
    (
      await client.query(
        `select from pg_stat_activity where datname = current_database() and query like 'listen%'`,
      )
    ).rowCount!;

  test('follows a commit of this process that has added events, and no other', async () => {
    const { heard } = watch(false);
    await attempt(postgres, 'rollback');
    await attempt(postgres, 'commitUnrecorded', 0);
    expect(heard()).toBe(0);
    await attempt(postgres, 'commitUnrecorded', 3);
    expect(heard()).toBe(1);
  });

  test('comes from another process that says so, and can be ended', async () => {
    const other = postgresOn(url, { outboxNotify: true });
    onTestFinished(() => other.close());
    const { heard } = watch(true);
    const local = watch(false);
    await eventually(async () => (await listeners()) === 1);
    await eventually(() => heard() > 0);
    const before = heard();
    await attempt(other, 'commitUnrecorded');
    await eventually(() => heard() > before);
    expect(local.heard()).toBe(0);
  });

  test('is not listened for when nobody watches any more', async () => {
    const end = store.watchEvents(() => {}, true);
    await eventually(async () => (await listeners()) === 1);
    end();
    await eventually(async () => (await listeners()) === 0);
  });

  test('is listened for again when its connection was lost', async () => {
    const { heard } = watch(true);
    await eventually(() => heard() > 0);
    const before = heard();
    await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'listen%'`,
    );
    await eventually(() => heard() > before);
  });

  test('is not sent to others unless that is wanted', async () => {
    const { heard } = watch(true);
    await eventually(() => heard() > 0);
    const other = postgresOn(url);
    onTestFinished(() => other.close());
    const before = heard();
    await attempt(other, 'commitUnrecorded');
    // What would have come before this one.
    const telling = postgresOn(url, { outboxNotify: true });
    onTestFinished(() => telling.close());
    await attempt(telling, 'commitUnrecorded');
    await eventually(() => heard() > before);
    expect(heard()).toBe(before + 1);
  });
});

async function somebodyWaits(): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rowCount === 1;
}
