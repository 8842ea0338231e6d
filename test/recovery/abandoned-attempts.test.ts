/** What a retry is told, or may do, after an attempt was abandoned: the field's policy. */

import { describe, expect, onTestFinished, test } from 'vitest';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import { eventually, within } from '../support/signal.ts';
import { CRASH, executed, leaseCase, replayed, said } from './lease-case.ts';
import type { Work } from './lease-case.ts';

const failing: Work = () => {
  throw CRASH;
};

describe('abandoned: REFUSE', () => {
  test('every retry is told OUTCOME_UNKNOWN, at every instance, and nothing runs again', async () => {
    const { start, rows } = await leaseCase();
    const [first, second] = [await start({ work: failing }), await start()];
    const reply = await first.call('refuse', 'a');
    expect(said(reply)).toBe('OUTCOME_UNKNOWN');
    expect(reply.status).toBe(503);
    expect(JSON.stringify(reply.body)).not.toContain(CRASH.message);
    for (const instance of [first, second, first, second]) {
      const again = await instance.call('refuse', 'a');
      expect(said(again)).toBe('OUTCOME_UNKNOWN');
      expect(again.status).toBe(503);
      expect(again.body.errors[0].extensions).toMatchObject({ retryable: true, retryAfterMs: 1000 });
    }
    expect([first.executed, second.executed]).toEqual([[1], []]);
    expect(await rows()).toEqual([{ state: 'unknown', attempt: 1, outcome: null }]);
  });

  test('so is the retry of an attempt whose lease has lapsed', async () => {
    const { start, lapse, hold, until } = await leaseCase();
    const owner = await start({ work: () => hold().promise });
    const other = await start();
    void owner.call('refuse', 'a');
    await until('pending');
    expect(said(await other.call('refuse', 'a'))).toBe('IN_PROGRESS');
    await lapse();
    for (const _ of [1, 2]) expect(said(await other.call('refuse', 'a'))).toBe('OUTCOME_UNKNOWN');
    expect(other.executed).toEqual([]);
  });

  test('another operation under its key is told that the key was used', async () => {
    const { start } = await leaseCase();
    const instance = await start({ work: failing });
    await instance.call('refuse', 'a');
    expect(said(await instance.call('refuse', 'a', 2))).toBe('KEY_REUSED');
  });
});

describe('abandoned: RERUN', () => {
  test('a retry executes as the next attempt, until maxAttempts; then the outcome stays unknown', async () => {
    const { start, rows } = await leaseCase();
    const instance = await start({ work: failing, options: { maxAttempts: 3 } });
    for (let index = 0; index < 6; index += 1) {
      expect(said(await instance.call('rerun', 'a'))).toBe('OUTCOME_UNKNOWN');
    }
    expect(instance.executed).toEqual([1, 2, 3]);
    expect(await rows()).toEqual([{ state: 'unknown', attempt: 3, outcome: null }]);
  });

  test('the attempt that succeeds ends it, and is what later retries get', async () => {
    const { start, rows } = await leaseCase();
    const instance = await start({
      work: ({ attempt }, n) => (attempt < 3 ? failing({} as never, n) : n * attempt),
    });
    expect(said(await instance.call('rerun', 'a', 7))).toBe('OUTCOME_UNKNOWN');
    expect(said(await instance.call('rerun', 'a', 7))).toBe('OUTCOME_UNKNOWN');
    expect(said(await instance.call('rerun', 'a', 7))).toEqual(executed(21));
    expect(said(await instance.call('rerun', 'a', 7))).toEqual(replayed(21));
    expect(await rows()).toEqual([{ state: 'completed', attempt: 3, outcome: 'result' }]);
  });

  test('maxAttempts: 1 never executes again', async () => {
    const { start } = await leaseCase();
    const instance = await start({ work: failing, options: { maxAttempts: 1 } });
    for (const _ of [1, 2]) expect(said(await instance.call('rerun', 'a'))).toBe('OUTCOME_UNKNOWN');
    expect(instance.executed).toEqual([1]);
  });

  test.each([1, 2, 3])(
    'of retries at two instances at once, one takes over and the others are told IN_PROGRESS (%i)',
    async () => {
      const { start, hold } = await leaseCase();
      const first = await start({ work: failing });
      await first.call('rerun', 'a');
      const finish = hold();
      const work: Work = async ({ attempt }) => {
        await finish.promise;
        return attempt;
      };
      const [one, two] = await Promise.all([start({ work }), start({ work })]);
      const retries = [one, two, one, two].map((instance) => instance.call('rerun', 'a').then(said));
      await eventually(() => one.executed.length + two.executed.length > 0);
      let told = 0;
      for (const retry of retries) void retry.then(() => (told += 1));
      await eventually(() => told === 3, { what: 'the answers of the losers' });
      finish.resolve(undefined);
      const answers = await Promise.all(retries);
      expect(answers.filter((answer) => answer === 'IN_PROGRESS')).toHaveLength(3);
      expect(answers).toContainEqual(executed(2));
      expect([...one.executed, ...two.executed]).toEqual([2]);
    },
  );

  test('the owner that comes back after a takeover is told LEASE_LOST, and the winner’s answer stands', async () => {
    const { start, lapse, hold, until } = await leaseCase();
    const finish = hold();
    const owner = await start({
      work: async (_, n) => {
        await finish.promise;
        return n;
      },
    });
    const other = await start({ work: (_, n) => n + 100 });
    const late = owner.call('rerun', 'a', 1);
    await until('pending');
    await lapse();
    expect(said(await other.call('rerun', 'a', 1))).toEqual(executed(101));
    finish.resolve(undefined);
    expect(said(await late)).toBe('LEASE_LOST');
    for (const instance of [owner, other]) {
      expect(said(await instance.call('rerun', 'a', 1))).toEqual(replayed(101));
    }
    expect([owner.executed, other.executed]).toEqual([[1], [2]]);
  });

  test('a lease that lapses by itself, its process cut off from the database, is taken over', async () => {
    const { start, url, hold, until } = await leaseCase();
    const proxy = await startPostgresProxy({ target: url });
    onTestFinished(() => proxy.close());
    const aborted = hold<string>();
    const quick = {
      lease: 2400,
      claimTimeout: 1600,
      commitTimeout: 1500,
      lockTimeout: 400,
      probeTimeout: 1500,
    };
    const owner = await start({
      databaseUrl: url,
      options: { ...quick, postgres: proxy.url },
      work: ({ signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            aborted.resolve(String(signal.reason));
            resolve(1);
          });
        }),
    });
    const other = await start({ options: quick, work: (_, n) => n + 100 });
    const late = owner.call('rerun', 'a');
    await until('pending');
    proxy.partition();
    expect(await within(aborted.promise)).toContain('could not be renewed');
    expect(
      await eventually(async () => {
        const reply = await other.call('rerun', 'a');
        return reply.code === undefined && said(reply);
      }),
    ).toEqual(executed(101));
    await proxy.healAll();
    expect(['OUTCOME_UNKNOWN', 'LEASE_LOST']).toContain(said(await late));
    expect(said(await other.call('rerun', 'a'))).toEqual(replayed(101));
  });
});
