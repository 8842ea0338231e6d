/** Relays that are killed: what they held is published by another, and what kills them is found out. */

import { beforeAll, beforeEach, expect, test } from 'vitest';
import { startChild } from '../support/child.ts';
import type { Child } from '../support/child.ts';
import { eventually } from '../support/signal.ts';
import { payloadOf, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;

beforeAll(async () => {
  setting = await startOutboxCase();
});
beforeEach(async () => {
  await setting.sql('truncate graphql_idempotency.outbox');
});

const PATIENCE = { timeoutMs: 30_000 };

const startRelay = (leaseMs: number, crashLimit: number): Child =>
  startChild({
    file: new URL('relay-process.ts', import.meta.url),
    args: [setting.url, String(leaseMs), String(crashLimit)],
    env: { NODE_ENV: 'test' },
  });

test('what a killed relay held is published by another, under the same id, when its lease is over', async () => {
  const [first, second] = await setting.add({ payload: 'hang' }, { payload: 'hang', key: 'k' });
  const [third] = await setting.add({ payload: 'behind', key: 'k' });
  const child = startRelay(1500, 3);
  await child.message<{ publishing: string }>(({ publishing }) => publishing === second, PATIENCE);
  const relay = setting.relay();
  await relay.drain();
  expect(relay.tried).toEqual([]);
  await child.kill();
  relay.start();
  await eventually(() => relay.published.length === 3, PATIENCE);
  expect(relay.published.map(({ id }) => id).toSorted()).toEqual([first!, second!, third!].toSorted());
  expect(relay.published.findIndex(({ id }) => id === second)).toBeLessThan(
    relay.published.findIndex(({ id }) => id === third),
  );
});

test('a relay at work renews its lease: nobody else takes what it holds', async () => {
  const [id] = await setting.add({ payload: 'hang' });
  const child = startRelay(3000, 3);
  await child.message<{ publishing: string }>(({ publishing }) => publishing === id, PATIENCE);
  const end = async (): Promise<string> =>
    (
      await setting.sql<{ end: string }>('select available_at::text as end from graphql_idempotency.outbox')
    )[0]!.end;
  const ends = new Set([await end()]);
  const relay = setting.relay();
  // Through several leases, by what the database says of them.
  await eventually(async () => {
    ends.add(await end());
    await relay.drain();
    return ends.size > 5;
  }, PATIENCE);
  expect(relay.tried).toEqual([]);
  expect(await setting.rows()).toMatchObject([{ started: 1, state: 'claimed' }]);
  await child.kill();
});

test('an event that kills every relay ends as a dead letter, and takes no other with it', async () => {
  const ids = await setting.add(
    { payload: 'fine' },
    { payload: 'die' },
    ...Array.from({ length: 5 }, () => ({ payload: 'fine' })),
  );
  const poison = ids[1]!;
  const rowOfPoison = async () => (await setting.rows()).find(({ event_id: id }) => id === poison)!;
  // Twice together with others, the third time alone.
  for (let crashes = 1; crashes <= 3; crashes += 1) {
    const child = startRelay(1500, 2);
    expect(await child.exited).toMatchObject({ signal: 'SIGKILL' });
    expect(await rowOfPoison()).toMatchObject({ started: crashes, finished: 0 });
  }
  const relay = setting.relay({ crashLimit: 2 });
  relay.start();
  await eventually(async () => (await setting.rows()).every(({ state }) => state === 'dead'), PATIENCE);
  expect(await setting.rows()).toHaveLength(1);
  expect(await rowOfPoison()).toMatchObject({
    state: 'dead',
    last_error: 'The relay died 3 times while publishing it.',
  });
  expect(relay.published.map(payloadOf)).not.toContain('die');
  expect(await relay.deadLetters()).toMatchObject([{ id: poison, crashes: 3, failures: 0 }]);
}, 120_000);

test('what is suspected is published alone, and cleared if its relay survives', async () => {
  await setting.add(...Array.from({ length: 4 }, (_, payload) => ({ payload })));
  await setting.sql(
    'update graphql_idempotency.outbox set started = 3 where position in (select position from graphql_idempotency.outbox order by position limit 2)',
  );
  const together: number[][] = [];
  const publisher = {
    publish: async (events: readonly { payload: Buffer }[]) => {
      together.push(events.map((event) => payloadOf(event) as number));
      return events.map(() => undefined);
    },
  };
  expect(await setting.relay({ publisher }).drain()).toMatchObject({ published: 4 });
  expect(together).toEqual([[0], [1], [2, 3]]);
});
