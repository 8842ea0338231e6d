/** Sweepers, takeovers and retries at the same time. */

import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import type { Reply, Service } from '../support/service.ts';
import { deferred, eventually, within } from '../support/signal.ts';
import { startSweepCase } from './sweep-case.ts';
import type { SweepCase } from './sweep-case.ts';

let setting: SweepCase;
let one: Service;
let two: Service;

beforeAll(async () => {
  setting = await startSweepCase();
  [one, two] = [
    await setting.start({ options: { sweepBatchSize: 50 } }),
    await setting.start({ options: { sweepBatchSize: 50 } }),
  ];
});
beforeEach(async () => {
  await setting.sql.query('truncate graphql_idempotency.record cascade');
  await setting.sql.query('truncate payments');
});

const executed = (replies: readonly Reply[]): Reply[] =>
  replies.filter(({ body }) => body.extensions?.idempotency?.pay.outcome === 'executed');

/** Expects that every call was answered with the one execution, or told that it is under way. */
function expectOneExecution(replies: readonly Reply[]): void {
  const [winner, ...more] = executed(replies);
  expect(more).toEqual([]);
  for (const reply of replies) {
    if (reply.status === 409) expect(reply.code).toBe('IDEMPOTENCY_IN_PROGRESS');
    else expect(reply.body.data).toEqual(winner!.body.data);
  }
}

describe('several sweepers', () => {
  test('share the work: every row is swept once, and none is left', async () => {
    await setting.seed({ count: 600, prefix: 'gone', expires: '-1 second' });
    await setting.seed({ count: 400, prefix: 'tombstone', expires: '-1 second', tombstone: '1 hour' });
    await setting.seed({ count: 20, prefix: 'fresh', expires: '1 hour' });
    const sweeps = await Promise.all([one, two, one, two].map(({ idempotency }) => idempotency.sweep()));
    // A sweeper may stop while another holds the last rows; what is left then is the next sweep's.
    sweeps.push(await one.idempotency.sweep());
    const sum = (of: 'stripped' | 'deleted'): number => sweeps.reduce((total, swept) => total + swept[of], 0);
    expect([sum('stripped'), sum('deleted')]).toEqual([400, 600]);
    const left = await setting.records();
    expect(left.filter(({ hasBody }) => hasBody)).toHaveLength(20);
    expect(left).toHaveLength(420);
  });

  test('pass by a row that somebody holds, and wait for nobody', async () => {
    await setting.seed({ count: 3, prefix: 'gone', expires: '-1 second' });
    const holder = await setting.sql.connect();
    await holder.query('begin');
    await holder.query(`select from graphql_idempotency.record where coordinate = 'gone2' for update`);
    const sweep = within(one.idempotency.sweep(), { timeoutMs: 5000, what: 'the sweep past a held row' });
    expect(await sweep).toEqual({ stripped: 0, deleted: 2 });
    await holder.query('rollback');
    holder.release();
    expect(await one.idempotency.sweep()).toEqual({ stripped: 0, deleted: 1 });
  });
});

describe('an expired key that is retried many times at once', () => {
  test('is taken over once', async () => {
    for (let round = 0; round < 5; round += 1) {
      await setting.sql.query('truncate payments');
      const first = await one.send({ key: 'k' });
      await setting.age('25 hours');
      const retries = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? one : two).send({ key: 'k' }));
      const replies = await Promise.all(retries);
      expectOneExecution(replies);
      expect(executed(replies)[0]!.body.data).not.toEqual(first.body.data);
      expect(await one.payments()).toHaveLength(2);
      expect(await one.records()).toBe(1);
      await setting.sql.query('truncate graphql_idempotency.record cascade');
    }
  });

  test('is decided by the record statement where the lock is not: the loser is rolled back', async () => {
    const proxy = await startPostgresProxy({ target: setting.databaseUrl });
    const slow = await setting.start({ options: { postgres: proxy.url } });
    await one.send({ key: 'k' });
    await setting.age('25 hours');
    const record = proxy.on({ from: 'client', sql: /set_config\('role'|\.complete\(/ }, 'hold');
    const losing = slow.send({ key: 'k' });
    await record.matched;
    // Another attempt that the lock did not keep out: the same takeover, by hand.
    await setting.sql.query(
      `update graphql_idempotency.record set expires_at = clock_timestamp() + interval '1 day',
        takeover_after = clock_timestamp() + interval '1 day', sweep_after = clock_timestamp() + interval '1 day'`,
    );
    record.release();
    const reply = await losing;
    expect(reply.headers.get('idempotent-replayed')).toBe('true');
    expect(await one.payments()).toHaveLength(1);
    await proxy.close();
  });
});

describe('a sweep while a key is retried (64)', () => {
  test('leaves every key executed exactly once more', async () => {
    const keys = Array.from({ length: 25 }, (_, at) => `key-${at}`);
    for (const key of keys) await one.send({ key });
    for (let round = 1; round <= 3; round += 1) {
      await setting.age('25 hours');
      let sweeping = true;
      const sweeps = [one, two].map(async ({ idempotency }) => {
        while (sweeping) await idempotency.sweep();
      });
      const replies = await Promise.all(
        keys.map(async (key) => {
          const pair = await Promise.all([one.send({ key }), two.send({ key })]);
          return pair.some((reply) => reply.status === 200) ? pair : [...pair, await one.send({ key })];
        }),
      );
      sweeping = false;
      await Promise.all(sweeps);
      for (const calls of replies) expectOneExecution(calls);
      expect(await one.payments()).toHaveLength(keys.length * (round + 1));
      expect(await one.records()).toBe(keys.length);
      expect((await setting.records()).every(({ hasBody }) => hasBody)).toBe(true);
    }
  });

  test('does not wait for a takeover that is not committed yet, and leaves its record alone', async () => {
    // The COMMIT of a payment waits for whoever holds this lock; its record is written by then.
    await setting.sql.query(`
      create function wait_at_commit() returns trigger language plpgsql as
        $$ begin perform pg_advisory_xact_lock(42); return null; end $$;
      create constraint trigger wait_at_commit after insert on payments
        deferrable initially deferred for each row execute function wait_at_commit()`);
    await one.send({ key: 'k' });
    await setting.age('25 hours');
    const gate = await setting.sql.connect();
    await gate.query('select pg_advisory_lock(42)');
    const taking = two.send({ key: 'k' });
    await eventually(async () => (await waiting('active', 'Lock')) === 1, { what: 'the COMMIT to wait' });
    const sweep = within(one.idempotency.sweep(), { timeoutMs: 4000, what: 'the sweep beside a takeover' });
    expect(await sweep).toEqual({ stripped: 0, deleted: 0 });
    await gate.query('select pg_advisory_unlock(42)');
    gate.release();
    const second = await taking;
    expect(executed([second])).toHaveLength(1);
    await setting.sql.query('drop trigger wait_at_commit on payments');
    expect(await one.idempotency.sweep()).toEqual({ stripped: 0, deleted: 0 });
    expect((await one.send({ key: 'k' })).body.data).toEqual(second.body.data);
  });

  test('that has not committed its deletion makes the takeover wait, not fail', async () => {
    const entered = deferred();
    const goOn = deferred();
    const slow = await setting.start({
      options: { lockTimeout: 4000 },
      pay: async ({ insert }) => {
        entered.resolve();
        await goOn.promise;
        return insert();
      },
    });
    const first = await one.send({ key: 'k' });
    await setting.age('25 hours');
    const taking = slow.send({ key: 'k' });
    await entered.promise;
    const sweeper = await setting.sql.connect();
    await sweeper.query('begin');
    expect((await sweeper.query('delete from graphql_idempotency.record')).rowCount).toBe(1);
    goOn.resolve();
    await eventually(async () => (await waiting('active', 'Lock')) === 1, { what: 'the takeover to wait' });
    await sweeper.query('commit');
    sweeper.release();
    const second = await taking;
    expect(executed([second])).toHaveLength(1);
    expect(second.body.data).not.toEqual(first.body.data);
    expect(await one.payments()).toHaveLength(2);
    expect(await one.records()).toBe(1);
  });
});

/** Sessions of this database in one state, other than the one that asks. */
async function waiting(state: string, event?: string): Promise<number> {
  const { rows } = await setting.sql.query(
    `select count(*)::int as n from pg_stat_activity where datname = current_database() and state = $1
      and pid <> pg_backend_pid() and ($2::text is null or wait_event_type = $2)`,
    [state, event ?? null],
  );
  return rows[0].n;
}
