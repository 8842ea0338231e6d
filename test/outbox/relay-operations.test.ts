/** What operators do with relays: dead letters, pauses, an orderly stop; and options that are wrong. */

import type { OutboxEvent } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred, eventually, within } from '../support/signal.ts';
import { relayMessages, startOutboxCase } from './outbox-case.ts';
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
const empty = async (): Promise<boolean> => (await setting.rows()).length === 0;

describe('dead letters', () => {
  const failing = (relayed: OutboxCase = setting) =>
    relayed.relay({
      maxAttempts: 2,
      publish: (event: OutboxEvent) => {
        throw new Error(`no ${event.topic}\u0000`);
      },
    });
  const bury = async (...topics: string[]): Promise<string[]> => {
    const ids = await setting.add(...topics.map((topic) => ({ topic })));
    const relay = failing();
    relay.start();
    await eventually(async () => (await setting.rows()).every(({ state }) => state === 'dead'));
    await relay.stop();
    return ids;
  };

  test('are made after the last try, and keep the last error', async () => {
    const messages = relayMessages();
    const [id] = await bury('a');
    const relay = setting.relay();
    expect(await relay.deadLetters()).toMatchObject([
      { id, topic: 'a', failures: 2, crashes: 0, lastError: 'no a\ufffd', payload: Buffer.from('null') },
    ]);
    expect(messages.filter(({ event }) => event === 'dead')).toMatchObject([{ eventId: id, topic: 'a' }]);
    const told = setting.log.filter(({ level, message }) => level === 'error' && message.includes(id!));
    expect(told).toHaveLength(1);
    await relay.drain();
    expect(relay.tried).toEqual([]);
    expect(await relay.pending()).toEqual({ ready: 0, waiting: 0, parked: 0, dead: 1, lagMs: 0 });
  });

  test('are listed by topic, and in pages', async () => {
    const [first, second, third] = await bury('a', 'b', 'b');
    const relay = setting.relay();
    const idsOf = (letters: readonly { id: string }[]) => letters.map(({ id }) => id);
    expect(idsOf(await relay.deadLetters({ topic: 'b' }))).toEqual([second, third]);
    const page = await relay.deadLetters({ limit: 2 });
    expect(idsOf(page)).toEqual([first, second]);
    expect(idsOf(await relay.deadLetters({ after: page[1]!.position }))).toEqual([third]);
  });

  test('are published again when they are redriven: those chosen, and as if never tried', async () => {
    const [first, second] = await bury('a', 'b', 'b');
    const relay = setting.relay();
    expect(await relay.redrive([first!, second!])).toBe(2);
    await relay.drain();
    expect(relay.published.map(({ id, attempt }) => `${id} ${attempt}`).toSorted()).toEqual(
      [first, second].map((id) => `${id} 1`).toSorted(),
    );
    expect(await relay.redrive({ topic: 'a' })).toBe(0);
    expect(await relay.redrive({})).toBe(1);
    expect(await relay.drain()).toMatchObject({ published: 1 });
  });

  test('are gone for good when they are discarded, and nothing else is', async () => {
    const [first] = await bury('a', 'b');
    const [alive] = await setting.add({ topic: 'a' });
    const relay = setting.relay();
    expect(await relay.discard([first!, alive!])).toBe(1);
    expect(await relay.discard({ topic: 'b' })).toBe(1);
    await relay.drain();
    expect(relay.published.map(({ id }) => id)).toEqual([alive]);
  });

  test.each([
    { topic: undefined },
    { topic: '' },
    [undefined],
    [null],
    ['all'],
    [['no uuid']],
    [{ ids: [] }],
    [{ Topic: 'a' }],
  ])('nothing is chosen by %j', async (choice) => {
    await setting.add({});
    const relay = setting.relay();
    await expect(relay.redrive(choice as never)).rejects.toThrow(TypeError);
    await expect(relay.discard(choice as never)).rejects.toThrow(TypeError);
  });
});

describe('a pause', () => {
  test('of a topic holds back its events, and no others; resumed, they are published', async () => {
    const relay = setting.relay();
    await relay.pause('a');
    await setting.add({ topic: 'a' }, { topic: 'b' }, { topic: 'a' });
    await relay.drain();
    expect(relay.published.map(({ topic }) => topic)).toEqual(['b']);
    // Out of the way: they are not looked at again.
    expect((await setting.rows()).map(({ state }) => state)).toEqual(['parked', 'parked']);
    await relay.resume('a');
    await relay.drain();
    expect(relay.published).toHaveLength(3);
  });

  test('of everything holds for the relays of all processes, until it is resumed', async () => {
    const beside = await startOutboxCase({ beside: setting });
    const [relay, other] = [setting.relay(), beside.relay()];
    await relay.pause();
    await relay.pause();
    await setting.add({});
    other.start();
    await other.drain();
    expect([await other.pending(), other.tried]).toEqual([expect.objectContaining({ ready: 1 }), []]);
    await other.resume();
    await eventually(() => other.published.length === 1);
  });

  test('that is resumed while a claim parks loses no event', async () => {
    const [relay, busy] = [setting.relay(), setting.relay({ batchSize: 3 })];
    busy.start();
    const ids: string[] = [];
    for (let round = 0; round < 15; round += 1) {
      await relay.pause('a');
      const adding = setting.add({ topic: 'a' }, { topic: 'a' });
      await relay.resume('a');
      ids.push(...(await adding));
    }
    await eventually(empty);
    expect(busy.published.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });
});

describe('a stop', () => {
  test('waits for what is being published, and gives back the rest at once, uncounted', async () => {
    const messages = relayMessages();
    await setting.add(...many(5));
    const [begun, goOn] = [deferred(), deferred()];
    const relay = setting.relay({
      concurrency: 1,
      publish: async () => {
        begun.resolve();
        await goOn.promise;
      },
    });
    relay.start();
    await begun.promise;
    const stopped = relay.stop();
    goOn.resolve();
    await within(stopped);
    expect(relay.published).toHaveLength(1);
    expect(await setting.rows()).toMatchObject(
      Array.from({ length: 4 }, () => ({ state: 'ready', started: 0, finished: 0 })),
    );
    expect(messages.find(({ event }) => event === 'released')).toMatchObject({ count: 4 });
  });

  test('does not wait for ever: what says nothing is given back, too', async () => {
    await setting.add({});
    const begun = deferred();
    const relay = setting.relay({
      stopTimeoutMs: 10,
      publish: () => {
        begun.resolve();
        return new Promise(() => {});
      },
    });
    relay.start();
    await begun.promise;
    await within(relay.stop());
    expect(await setting.rows()).toMatchObject([{ state: 'ready', started: 0 }]);
  });

  test('comes with the end of the library', async () => {
    const other = await startOutboxCase({ beside: setting });
    await other.add(...many(3));
    const [begun, goOn] = [deferred(), deferred()];
    const relay = other.relay({
      concurrency: 1,
      publish: async () => {
        begun.resolve();
        await goOn.promise;
      },
    });
    relay.start();
    await begun.promise;
    const closed = other.idempotency.close();
    goOn.resolve();
    await within(closed);
    expect(relay.published).toHaveLength(1);
    expect((await setting.rows()).map(({ state }) => state)).toEqual(['ready', 'ready']);
  });
});

describe('options', () => {
  test.each([
    [{}, /either `publish` or `publisher`/],
    [{ publish: () => {}, publisher: { publish: async () => [] } }, /either/],
    [{ publish: 'x' }, /`publish`/],
    [{ publish: () => {}, batchsize: 5 }, /Did you mean `batchSize`/],
    [{ publish: () => {}, batchSize: 0 }, /`batchSize`.*from 1/],
    [{ publish: () => {}, pollMinMs: 500, pollMaxMs: 100 }, /`pollMinMs`/],
    [{ publish: () => {}, topics: [] }, /`topics`/],
  ])('%j is refused when the relay is made', (options, message) => {
    expect(() => setting.idempotency.relay(options as never)).toThrow(message);
  });
});
