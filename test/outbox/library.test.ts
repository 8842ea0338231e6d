/** Where a library owns the transaction, an event commits with it, and is undone with its savepoints. */

import type { CurrentAttempt } from 'graphql-idempotency';
import pg from 'pg';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { codeOf } from '../guard/direct/calls.ts';
import { libraryOn } from '../store/runner/libraries.ts';
import type { LibraryOptions } from '../store/runner/libraries.ts';
import { payloadOf, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;
let library: LibraryOptions = {};
let keys = 0;

beforeAll(async () => {
  let pool: pg.Pool | undefined;
  setting = await startOutboxCase({
    transaction: (work) => libraryOn((pool ??= poolOn(setting.url)), library)(work),
  });
  return () => pool?.end();
});
beforeEach(async () => {
  library = {};
  await setting.sql('truncate effects, graphql_idempotency.outbox');
});

function poolOn(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  pool.on('error', () => {});
  return pool;
}

const guard = (run: (attempt: CurrentAttempt, client: pg.PoolClient) => unknown): Promise<unknown> =>
  setting.idempotency.guard({ scope: 'alice', key: `key-${(keys += 1)}` }, (attempt) =>
    run(attempt, attempt.client as pg.PoolClient),
  );
const add = ({ outbox }: CurrentAttempt, payload: unknown): void =>
  void outbox.add({ topic: 't', key: 'k:$1?', payload });
const published = async (): Promise<unknown[]> => {
  const relay = setting.relay();
  await relay.drain();
  return relay.published.map(payloadOf);
};

test('it is published where the library has committed', async () => {
  await guard(async (attempt, client) => {
    await client.query(`insert into effects (name) values ('a')`);
    add(attempt, { text: `it's: a ? \\ $1` });
  });
  expect(await published()).toEqual([{ text: `it's: a ? \\ $1` }]);
});

test('it is not published where the attempt is rolled back', async () => {
  await expect(
    guard((attempt) => {
      add(attempt, 1);
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  expect(await published()).toEqual([]);
});

test('a savepoint that the library sets by its own handle takes what was added behind it', async () => {
  await guard(async (attempt, client) => {
    add(attempt, 'before');
    await client.query('savepoint a');
    add(attempt, 'inside');
    await client.query('rollback to a');
    add(attempt, 'after');
  });
  expect(await published()).toEqual(['before', 'after']);
});

test('an event that the library did not send keeps the transaction from committing', async () => {
  library = {
    query: async (client, text, values) => {
      if (text.includes('add_event')) throw new Error('the library does not like it');
      return (await client.query(text, [...values])).rows;
    },
  };
  const run = guard(async (attempt, client) => {
    await client.query(`insert into effects (name) values ('a')`);
    add(attempt, 1);
  });
  expect(await codeOf(run)).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  expect(await setting.effects()).toEqual([]);
});

test('the texts that are added hold nothing that a library takes for the place of a parameter', async () => {
  const sent: string[] = [];
  library = {
    query: async (client, text, values) => {
      sent.push(text);
      return (await client.query(text, [...values])).rows;
    },
  };
  await guard((attempt) => add(attempt, { a: ':name ? $1' }));
  const [insert] = sent.filter((text) => text.includes('add_event'));
  expect(insert).toBeDefined();
  expect(insert).not.toMatch(/[:?]/);
  expect(await published()).toEqual([{ a: ':name ? $1' }]);
});
