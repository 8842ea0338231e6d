/** What is committed late is published all the same, and nobody's transaction keeps others' events waiting. */

import type pg from 'pg';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { deferred, eventually } from '../support/signal.ts';
import { payloadOf, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;

beforeAll(async () => {
  setting = await startOutboxCase();
});
beforeEach(async () => {
  await setting.sql('truncate effects, graphql_idempotency.outbox');
});

/** An attempt that has inserted its event, and does not commit before it is told to. */
async function slowAttempt(key: string, alsoRun?: string): Promise<{ commit: () => Promise<unknown> }> {
  const [inserted, goOn] = [deferred(), deferred()];
  const running = setting.idempotency.guard({ scope: 'slow', key }, async ({ tx, outbox }) => {
    await tx.query('savepoint at_once');
    outbox.add({ topic: 't', payload: 'late' });
    await tx.query(alsoRun ?? 'select 1');
    inserted.resolve();
    await goOn.promise;
  });
  await Promise.race([inserted.promise, running]);
  return {
    commit: () => {
      goOn.resolve();
      return running;
    },
  };
}

/** A relay as it is often written: it remembers the last position that it has published. */
function cursorRelay() {
  let cursor = '0';
  return async (): Promise<unknown[]> => {
    const rows = await setting.sql<{ position: string; payload: Buffer }>(
      'select position, payload from graphql_idempotency.outbox where position > $1 order by position',
      [cursor],
    );
    cursor = rows.at(-1)?.position ?? cursor;
    return rows.map(payloadOf);
  };
}

test('an event that is committed after a later one is published; a relay with a cursor loses it', async () => {
  const slow = await slowAttempt('cursor');
  await setting.add({ payload: 'early' });
  const readOn = cursorRelay();
  expect(await readOn()).toEqual(['early']);
  const relay = setting.relay();
  await relay.drain();
  expect(relay.published.map(payloadOf)).toEqual(['early']);

  await slow.commit();
  expect(await setting.rows()).toHaveLength(1);
  expect(await readOn()).toEqual([]);
  await relay.drain();
  expect(relay.published.map(payloadOf)).toEqual(['early', 'late']);
});

test('a relay at work finds one that was added long before it was committed', async () => {
  const relay = setting.relay();
  relay.start();
  const slow = await slowAttempt(
    'long-ago',
    `update graphql_idempotency.outbox set available_at = clock_timestamp() - interval '1 hour'`,
  );
  await setting.add({ payload: 'early' });
  await eventually(() => relay.published.length === 1);
  await slow.commit();
  await eventually(() => relay.published.length === 2);
});

test.each([
  [
    'that only reads, in one snapshot',
    'begin isolation level repeatable read',
    'select count(*) from graphql_idempotency.outbox',
  ],
  ['that has written', 'begin', `insert into effects (name) values ('foreign')`],
  ['that has locked the events it saw', 'begin', 'select * from graphql_idempotency.outbox for share'],
])('a foreign transaction %s neither blocks nor skips events', async (what, begin, statement) => {
  const [seen] = await setting.add({ payload: 'seen' });
  const foreign: pg.Client = await setting.connect();
  await foreign.query(begin);
  await foreign.query(statement);
  const ids = await setting.add(...Array.from({ length: 30 }, (_, payload) => ({ payload })));
  const relay = setting.relay({ batchSize: 7 });
  relay.start();
  // Whoever locks a row keeps that one, and no other.
  const isLocked = what.includes('locked');
  const expected = isLocked ? ids : [seen!, ...ids];
  await eventually(() => relay.published.length === expected.length);
  const more = await setting.add({ payload: 'more' });
  await eventually(() => relay.published.length === expected.length + 1);
  expect(relay.published.map(({ id }) => id).toSorted()).toEqual([...expected, ...more].toSorted());
  await foreign.query('rollback');
  await eventually(async () => (await setting.rows()).length === 0);
  expect(relay.published).toHaveLength(32);
});
