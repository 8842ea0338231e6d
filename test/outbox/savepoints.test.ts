/** A savepoint that is rolled back takes with it what was added behind it, and nothing else. */

import type { CurrentAttempt } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { codeOf } from '../guard/direct/calls.ts';
import { payloadOf, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;
let keys = 0;

beforeAll(async () => {
  setting = await startOutboxCase();
  void setting.idempotency.pool;
});
beforeEach(async () => {
  await setting.sql('truncate effects, graphql_idempotency.outbox');
});

const guard = (run: (attempt: CurrentAttempt) => unknown): Promise<unknown> =>
  setting.idempotency.guard({ scope: 'alice', key: `key-${(keys += 1)}` }, run);
const add = ({ outbox }: CurrentAttempt, payload: unknown): void => void outbox.add({ topic: 't', payload });
const published = async (): Promise<unknown[]> => {
  const relay = setting.relay();
  await relay.drain();
  return relay.published.map(payloadOf);
};

test('through tx: what was added behind it is gone, what was before and after is there', async () => {
  await guard(async (attempt) => {
    const { tx } = attempt;
    add(attempt, 'before');
    await tx.query('savepoint a');
    add(attempt, 'inside');
    await tx.query('savepoint b');
    add(attempt, 'deeper');
    await tx.query('rollback to a');
    add(attempt, 'after');
  });
  expect(await published()).toEqual(['before', 'after']);
});

test('a savepoint that is released keeps what was added behind it', async () => {
  await guard(async (attempt) => {
    await attempt.tx.query('savepoint a');
    add(attempt, 'inside');
    await attempt.tx.query('release savepoint a');
  });
  expect(await published()).toEqual(['inside']);
});

test('statements that nobody awaits keep their order with what is added', async () => {
  await guard((attempt) => {
    const { tx } = attempt;
    add(attempt, 'before');
    void tx.query('select pg_sleep(0.05)');
    void tx.query('SAVEPOINT "A b"');
    add(attempt, 'inside');
    void tx.query('rollback to "A b"');
    add(attempt, 'after');
  });
  expect(await published()).toEqual(['before', 'after']);
});

test('a text of several statements that sets a savepoint is one, too', async () => {
  await guard(async (attempt) => {
    add(attempt, 'before');
    await attempt.tx.query('select 1; savepoint a');
    add(attempt, 'inside');
    await attempt.tx.query('rollback to a; select 1');
  });
  expect(await published()).toEqual(['before']);
});

test('a statement that failed and was rolled back to its savepoint takes what was added in between', async () => {
  await guard(async (attempt) => {
    const { tx } = attempt;
    await tx.query('savepoint a');
    add(attempt, 'inside');
    await tx.query('select 1/0').catch(() => {});
    add(attempt, 'in the failed transaction');
    await tx.query('rollback to a');
    add(attempt, 'after');
  });
  expect(await published()).toEqual(['after']);
});

describe('a transaction that is begun inside the attempt, through a pool that joins', () => {
  const inTransaction = async (end: 'commit' | 'rollback', work: () => unknown): Promise<void> => {
    const client = await setting.idempotency.pool.connect();
    await client.query('begin');
    await client.query('insert into effects (name) values ($1)', ['inner']);
    await work();
    await client.query(end);
    client.release();
  };

  test('takes its events with it when it is rolled back', async () => {
    await guard(async (attempt) => {
      add(attempt, 'before');
      await inTransaction('rollback', () => add(attempt, 'inside'));
      add(attempt, 'after');
    });
    expect(await published()).toEqual(['before', 'after']);
    expect(await setting.effects()).toEqual([]);
  });

  test('publishes them when it is committed', async () => {
    await guard(async (attempt) => {
      await inTransaction('commit', () => add(attempt, 'inside'));
    });
    expect(await published()).toEqual(['inside']);
    expect(await setting.effects()).toEqual(['inner']);
  });

  const besideAnother = (end: 'commit' | 'rollback'): Promise<unknown> =>
    guard(async (attempt) => {
      const { pool } = setting.idempotency;
      const [older, newer] = [await pool.connect(), await pool.connect()];
      await older.query('begin');
      await older.query(`insert into effects (name) values ('older')`);
      await newer.query('begin');
      add(attempt, 'of one of them');
      await newer.query(end);
      await older.query('commit');
      older.release();
      newer.release();
    });

  test('publishes an event that was added while another was open, too', async () => {
    await besideAnother('commit');
    expect(await published()).toEqual(['of one of them']);
  });

  test('takes no event with it that may be another’s: the attempt fails, and nothing is committed', async () => {
    expect(await codeOf(besideAnother('rollback'))).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(await published()).toEqual([]);
    expect(await setting.effects()).toEqual([]);
  });
});

test('a savepoint that comes when the resolver has settled loses nothing', async () => {
  let late: Promise<unknown> | undefined;
  const run = guard((attempt) => {
    const { tx } = attempt;
    add(attempt, 'kept');
    // Nobody awaits it: the attempt has settled, and its COMMIT is not sent before this is answered.
    void tx.query('select pg_sleep(0.3)');
    setImmediate(() => {
      late = expect(tx.query('savepoint too_late')).rejects.toThrow(/its resolver has settled/);
    });
  });
  await run;
  await late;
  expect(late).toBeDefined();
  expect(await published()).toEqual(['kept']);
});
