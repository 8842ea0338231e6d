/** Abandoned attempts are offered to `recover` even when no client retries. */

import type { AbandonedRecord, RecoverAttempt } from 'graphql-idempotency';
import { expect, onTestFinished, test } from 'vitest';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { deferred, eventually, within } from '../support/signal.ts';
import { CRASH, leaseCase, replayed, said } from './lease-case.ts';
import type { FieldName, Instance, LeaseCase, Work } from './lease-case.ts';

const failing: Work = () => {
  throw CRASH;
};

const NOTHING = { offered: 0, completed: 0, notExecuted: 0, unknown: 0 };

async function abandon(instance: Instance, keys: readonly string[], field: FieldName = 'refuse') {
  for (const [index, key] of keys.entries()) await instance.call(field, key, index);
}

/** A database in which an instance without callbacks has abandoned attempts of these keys. */
async function withAbandoned(keys: readonly string[], field: FieldName = 'refuse'): Promise<LeaseCase> {
  const environment = await leaseCase();
  await abandon(await environment.start({ work: failing }), keys, field);
  return environment;
}

const on = (recover: RecoverAttempt) => ({ recover: { 'Mutation.refuse': recover } });

test('in the background: attempts that failed, and attempts whose lease has lapsed', async () => {
  const { start, until, hold, lapse } = await withAbandoned(['a', 'b']);
  const hanging = await start({ work: () => hold().promise });
  void hanging.call('refuse', 'c', 2);
  await until('pending');
  const offered: AbandonedRecord[] = [];
  const instance = await start({
    options: {
      ...on((record) => {
        offered.push(record);
        return { outcome: 'completed', result: 11 };
      }),
      recoverInterval: 50,
    },
  });
  await until('completed', 2);
  expect(await instance.idempotency.abandoned()).toEqual([]);
  await lapse();
  await until('completed', 3);
  expect(new Set(offered.map(({ identity }) => identity)).size).toBe(3);
  expect(offered).toHaveLength(3);
  for (const [index, key] of ['a', 'b', 'c'].entries()) {
    expect(said(await instance.call('refuse', key, index))).toEqual(replayed(11));
  }
  expect(instance.executed).toEqual([]);
});

test('recoverInterval: 0 does nothing until a client retries', async () => {
  const { start, rows } = await withAbandoned(['a']);
  let rounds = 0;
  const idle = await start({
    options: { ...on(() => ({ outcome: 'completed', result: 1 })), recoverInterval: 0 },
  });
  const busy = await start({
    options: {
      ...on(() => ((rounds += 1), { outcome: 'unknown' })),
      recoverInterval: 20,
    },
  });
  // Several rounds of somebody else's: long enough for one of its own, if it had any.
  await eventually(() => rounds >= 3);
  await busy.idempotency.close();
  expect(await rows()).toEqual([{ state: 'unknown', attempt: 1, outcome: null }]);
  expect(said(await idle.call('refuse', 'a', 0))).toEqual(replayed(1));
});

test('only fields that have a callback are touched', async () => {
  const { start, client, rows } = await withAbandoned(['a'], 'rerun');
  await abandon(await start({ work: failing }), ['b'], 'refuse');
  const before = await client.query(
    `select * from graphql_idempotency.record where coordinate = 'Mutation.rerun'`,
  );
  const instance = await start({ options: on(() => ({ outcome: 'completed', result: 1 })) });
  expect(await instance.idempotency.recover()).toEqual({ ...NOTHING, offered: 1, completed: 1 });
  const after = await client.query(
    `select * from graphql_idempotency.record where coordinate = 'Mutation.rerun'`,
  );
  expect(after.rows).toEqual(before.rows);
  expect((await rows()).map(({ state }) => state).toSorted()).toEqual(['completed', 'unknown']);
});

test('without any callback a round does nothing', async () => {
  const { start } = await withAbandoned(['a']);
  const instance = await start();
  expect(await instance.idempotency.recover()).toEqual(NOTHING);
});

test('a round goes through all pages, counts what it finds out, and one failure does not stop it', async () => {
  const keys = ['a', 'b', 'c', 'd', 'e'];
  const { start, rows } = await withAbandoned(keys);
  const offered: string[] = [];
  const answers: RecoverAttempt[] = [
    () => ({ outcome: 'completed', result: 1 }),
    () => {
      throw CRASH;
    },
    () => ({ outcome: 'not-executed' }),
    () => ({ outcome: 'completed', error: CRASH }),
    () => ({ outcome: 'unknown' }),
  ];
  const instance = await start({
    options: {
      ...on((record) => {
        offered.push(record.identity);
        return answers[offered.length - 1]!(record);
      }),
      recoverBatchSize: 2,
    },
  });
  expect(await instance.idempotency.recover()).toEqual({
    offered: 5,
    completed: 2,
    notExecuted: 1,
    unknown: 2,
  });
  expect(new Set(offered).size).toBe(5);
  expect(offered).toHaveLength(5);
  expect((await rows()).map(({ state, outcome }) => outcome ?? state).toSorted()).toEqual([
    'error',
    'result',
    'unknown',
    'unknown',
  ]);
  expect(instance.log.filter(({ message }) => message.includes('`recover` failed'))).toHaveLength(1);
  // What stayed unknown is offered again, and what was settled is not.
  answers.push(...[1, 2].map((): RecoverAttempt => () => ({ outcome: 'completed', result: 1 })));
  expect(await instance.idempotency.recover()).toEqual({ ...NOTHING, offered: 2, completed: 2 });
  expect(await instance.idempotency.recover()).toEqual(NOTHING);
});

test('exactly one page: the round ends', async () => {
  const { start } = await withAbandoned(['a', 'b']);
  const instance = await start({
    options: { ...on(() => ({ outcome: 'unknown' })), recoverBatchSize: 2 },
  });
  expect(await within(instance.idempotency.recover())).toEqual({ ...NOTHING, offered: 2, unknown: 2 });
});

test('two instances at once offer each record once', async () => {
  const keys = Array.from({ length: 12 }, (_, index) => `key-${index}`);
  const { start, until } = await withAbandoned(keys);
  const offered: string[] = [];
  const options = on(async ({ identity }) => {
    offered.push(identity);
    return { outcome: 'completed', result: 1 };
  });
  const [one, two] = await Promise.all([start({ options }), start({ options })]);
  const rounds = await Promise.all([one, two, one, two].map(({ idempotency }) => idempotency.recover()));
  await until('completed', 12);
  expect(offered).toHaveLength(12);
  expect(new Set(offered).size).toBe(12);
  expect(rounds.reduce((sum, round) => sum + round.offered, 0)).toBe(12);
  expect(rounds.reduce((sum, round) => sum + round.completed, 0)).toBe(12);
});

test('a round and a client that retries at once: the callback is asked once', async () => {
  const { start, hold } = await withAbandoned(['a']);
  const answer = hold();
  const asked = deferred();
  let offers = 0;
  const instance = await start({
    options: on(async () => {
      offers += 1;
      asked.resolve();
      await answer.promise;
      return { outcome: 'completed', result: 3 };
    }),
  });
  const round = instance.idempotency.recover();
  await asked.promise;
  expect(said(await instance.call('refuse', 'a', 0))).toBe('IN_PROGRESS');
  answer.resolve(undefined);
  expect(await round).toEqual({ ...NOTHING, offered: 1, completed: 1 });
  expect(said(await instance.call('refuse', 'a', 0))).toEqual(replayed(3));
  expect(offers).toBe(1);
});

test('a round that cannot reach the database fails, is logged, and the next one works', async () => {
  const { start, url, until } = await leaseCase();
  const proxy = await startPostgresProxy({ target: url });
  onTestFinished(() => proxy.close());
  const options = { ...on(() => ({ outcome: 'completed', result: 1 })), postgres: proxy.url };
  const quick = { acquireTimeout: 1500, claimTimeout: 1500 };
  const background = await start({ options: { ...options, ...quick, recoverInterval: 50 } });
  await proxy.refuse();
  proxy.cut();
  await abandon(await start({ work: failing }), ['a']);
  await eventually(() => background.log.some(({ message }) => message.startsWith('Recovering')));
  await expect(background.idempotency.recover()).rejects.toMatchObject({ name: 'StoreUnavailableError' });
  await proxy.healAll();
  await until('completed');
});

test('a callback that hangs keeps none of its page from being offered', async () => {
  const { start, rows } = await withAbandoned(['a', 'b', 'c']);
  const hung = deferred();
  let calls = 0;
  const instance = await start({
    options: on(async () => {
      calls += 1;
      if (calls === 1) await hung.promise;
      return { outcome: 'completed', result: 1 };
    }),
  });
  const round = instance.idempotency.recover();
  await eventually(async () => (await rows()).filter(({ state }) => state === 'completed').length === 2);
  hung.resolve();
  expect(await round).toEqual({ ...NOTHING, offered: 3, completed: 3 });
});
