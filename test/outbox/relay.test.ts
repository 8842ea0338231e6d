/** What relays do with events: share them, try again, and say what went wrong. */

import type { OutboxEvent } from 'graphql-idempotency';
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { eventually } from '../support/signal.ts';
import { QUICK, payloadOf, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;

beforeAll(async () => {
  setting = await startOutboxCase();
});
beforeEach(async () => {
  await setting.sql('truncate graphql_idempotency.outbox, graphql_idempotency.outbox_pause');
});

const many = (count: number): { payload: number }[] =>
  Array.from({ length: count }, (_, payload) => ({ payload }));
const PATIENCE = { timeoutMs: 20_000 };
const empty = async (): Promise<boolean> => (await setting.rows()).length === 0;

test('a relay that was started publishes what is committed from then on', async () => {
  const relay = setting.relay();
  relay.start();
  relay.start();
  await setting.add(...many(3));
  await eventually(() => relay.published.length === 3);
  await eventually(empty);
  await relay.stop();
  await setting.add({});
  expect(relay.published).toHaveLength(3);
  relay.start();
  await eventually(() => relay.published.length === 4);
});

test('a relay that is started inside an attempt publishes outside of it', async () => {
  const { pool } = setting.idempotency;
  await setting.sql('truncate effects');
  await setting.add({});
  const relay = setting.relay({
    publish: () => pool.query(`insert into effects (name) values ('published')`),
  });
  const run = setting.idempotency.guard({ scope: 'alice', key: 'starts-a-relay' }, async () => {
    await pool.query(`insert into effects (name) values ('of the attempt')`);
    relay.start();
    await eventually(() => relay.published.length === 1);
    throw new Error('rolled back');
  });
  await expect(run).rejects.toThrow('rolled back');
  expect(await setting.effects()).toEqual(['published']);
});

test('eight relays of two processes share the events: each is published once', async () => {
  const beside = await startOutboxCase({ beside: setting });
  const ids = await setting.add(...many(200));
  const relays = [setting, beside].flatMap((one) =>
    Array.from({ length: 4 }, () => one.relay({ batchSize: 7, concurrency: 3 })),
  );
  for (const relay of relays) relay.start();
  await eventually(empty, { timeoutMs: 20_000 });
  const published = relays.flatMap((relay) => relay.published.map(({ id }) => id));
  expect(published.toSorted()).toEqual(ids.toSorted());
});

test('relays publish the events of their own namespace only', async () => {
  const other = await startOutboxCase({ beside: setting, namespace: 'other' });
  await setting.add({ payload: 'own' });
  await other.add({ payload: 'other' });
  const relay = other.relay();
  await relay.drain();
  expect(relay.published.map(payloadOf)).toEqual(['other']);
  expect(await relay.pending()).toMatchObject({ ready: 0 });
  expect(await setting.relay().pending()).toMatchObject({ ready: 1 });
});

test('a relay for some topics leaves the others alone', async () => {
  await setting.add({ topic: 'a' }, { topic: 'b' }, { topic: 'c' });
  const relay = setting.relay({ topics: ['a', 'c'] });
  await relay.drain();
  expect(relay.published.map(({ topic }) => topic)).toEqual(['a', 'c']);
  expect((await setting.rows()).map(({ topic }) => topic)).toEqual(['b']);
});

test('what fails is tried again, with the count of its tries, until the broker has it', async () => {
  const [id] = await setting.add({});
  const relay = setting.relay({
    publish: ({ attempt }: OutboxEvent) => {
      if (attempt < 4) throw new Error(`try ${attempt}`);
    },
  });
  relay.start();
  await eventually(() => relay.published.length === 1);
  expect(relay.tried.map((event) => [event.id, event.attempt])).toEqual([1, 2, 3, 4].map((n) => [id, n]));
  await eventually(empty);
});

test('a failure is told with its event, and waits for its time', async () => {
  const errors: unknown[] = [];
  await setting.add({});
  const relay = setting.relay({
    backoffMs: 60_000_000,
    maxBackoffMs: 60_000_000,
    publish: () => {
      throw new Error('down');
    },
    onError: (error, event) => errors.push([(error as Error).message, event?.topic]),
  });
  expect(await relay.drain()).toEqual({ published: 0, failed: 1, dead: 0 });
  expect(errors).toEqual([['down', 't']]);
  expect(await setting.rows()).toMatchObject([
    { state: 'waiting', started: 1, finished: 1, last_error: 'down' },
  ]);
  expect(await relay.drain()).toEqual({ published: 0, failed: 0, dead: 0 });
});

test('a listener that throws does not end the relay', async () => {
  await setting.add({});
  const relay = setting.relay({
    publish: ({ attempt }: OutboxEvent) => {
      if (attempt === 1) throw new Error('first try');
    },
    onError: () => {
      throw new Error('of the listener');
    },
  });
  relay.start();
  await eventually(() => relay.published.length === 1);
  expect(setting.log.some(({ message }) => message.includes('onError'))).toBe(true);
});

test('an async listener that rejects ends no process', async () => {
  await setting.add({});
  const relay = setting.relay({
    publish: ({ attempt }: OutboxEvent) => {
      if (attempt === 1) throw new Error('first try');
    },
    onError: async () => Promise.reject(new Error('of the listener')),
  });
  relay.start();
  await eventually(() => relay.published.length === 1);
  await eventually(() => setting.log.some(({ message }) => message.includes('onError')));
});

test('a relay outlives a database that is away, and says so', async () => {
  const proxy = await startPostgresProxy({ target: setting.url });
  onTestFinished(() => proxy.close());
  const away = await startOutboxCase({ beside: setting, postgres: proxy.url });
  const errors: unknown[] = [];
  const relay = away.relay({ onError: (error, event) => errors.push([error, event]) });
  relay.start();
  await setting.add({});
  await eventually(() => relay.published.length === 1);
  await proxy.refuse();
  proxy.cut();
  await eventually(() => errors.length > 0, PATIENCE);
  const [id] = await setting.add({});
  await proxy.healAll();
  await eventually(() => relay.published.at(-1)?.id === id, PATIENCE);
  expect(errors[0]).toEqual([expect.any(Error), undefined]);
});

test('without a listener, the log is told once of an outage, and again of the next', async () => {
  await setting.add({}, {}, {});
  let down = true;
  const publish = (): void => {
    if (down) throw new Error('down');
  };
  const before = setting.log.length;
  const told = (): number =>
    setting.log.slice(before).filter(({ message }) => message.includes('cannot publish')).length;
  const relay = setting.idempotency.relay({ ...QUICK, batchSize: 1, publish });
  onTestFinished(() => relay.stop());
  relay.start();
  await eventually(async () => (await setting.rows()).every(({ finished }) => finished > 1));
  expect(told()).toBe(1);
  down = false;
  await eventually(empty);
  down = true;
  await setting.add({});
  await eventually(() => told() === 2);
});

test('one event that fails keeps no other from being published', async () => {
  await setting.add(...many(20));
  const relay = setting.relay({
    batchSize: 5,
    backoffMs: 60_000_000,
    maxBackoffMs: 60_000_000,
    publish: (event: OutboxEvent) => {
      if (payloadOf(event) === 3) throw new Error('no');
    },
  });
  expect(await relay.drain()).toEqual({ published: 19, failed: 1, dead: 0 });
});

test('a publisher that says nothing has failed when its time is up', async () => {
  await setting.add({});
  const relay = setting.relay({
    publishTimeoutMs: 20,
    maxAttempts: 1,
    publish: () => new Promise(() => {}),
  });
  await relay.drain();
  expect(await setting.rows()).toMatchObject([
    { finished: 1, state: 'dead', last_error: 'not published within 20 ms' },
  ]);
});
