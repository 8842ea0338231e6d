/** Steps with a transaction: their writes and their entry in the journal commit together, or neither does. */

import type { IdempotencyError, Transaction } from 'graphql-idempotency';
import { FinalError } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { deferred, within } from '../../support/signal.ts';
import { raise, startLeases } from './leases.ts';
import type { Call, Leases } from './leases.ts';

let leases: Leases;
let storeError: () => boolean;
let keys = 0;
let key: string;
beforeAll(async () => {
  leases = await startLeases({ storeError: () => storeError(), transactionTimeout: 5000 });
});
beforeEach(async () => {
  key = `transactions-${(keys += 1)}`;
  storeError = () => false;
  leases.counts.runs = 0;
  leases.log.length = 0;
  await leases.sql('truncate effects');
});

const write = (tx: Transaction, name = 'a') => tx.query('insert into effects (name) values ($1)', [name]);

/** A COMMIT that no scanner of the text can see: it depends on a setting of the session. */
async function commitUnseen(tx: Transaction): Promise<void> {
  await tx.query('set standard_conforming_strings = off');
  await tx.query("select '\\''; commit; --'");
}

test('the writes and the entry commit together, before the resolver goes on', async () => {
  leases.during = async ({ step }) => {
    const result = await step.transaction('a', async (tx) => {
      await write(tx);
      expect(await leases.effects()).toEqual([]);
      expect(await leases.steps(key)).toEqual([]);
      return 5n;
    });
    expect(await leases.effects()).toEqual(['a']);
    expect(await leases.steps(key)).toEqual([{ name: 'a', outcome: 'result', attempt: 1 }]);
    expect(result).toBe(5n);
    throw new Error('crash');
  };
  await leases.call('rerun', key);
  leases.during = ({ step }) => step.transaction('a', (tx) => write(tx, 'again'));
  expect((await leases.call('rerun', key)).value).toBe(5n);
  expect(await leases.effects()).toEqual(['a']);
});

test('a step that throws leaves nothing of its writes', async () => {
  leases.during = ({ step }) =>
    step.transaction('a', async (tx) => {
      await write(tx);
      throw new Error('no');
    });
  expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
  expect(await leases.effects()).toEqual([]);
  expect(await leases.steps(key)).toEqual([]);
});

test('a final error is recorded without the writes', async () => {
  leases.during = ({ step }) =>
    step
      .transaction('a', async (tx) => {
        await write(tx);
        throw new FinalError('declined');
      })
      .catch(() => 'swallowed');
  expect((await leases.call('rerun', key)).value).toBe('swallowed');
  expect(await leases.effects()).toEqual([]);
});

test('a broken constraint is the error of the step', async () => {
  let thrown: unknown;
  leases.during = ({ step }) =>
    step
      .transaction('a', async (tx) => {
        await write(tx);
        await tx.query('insert into effects (name) values (null)');
      })
      .catch((error: unknown) => ((thrown = error), 'went on'));
  expect((await leases.call('rerun', key)).value).toBe('went on');
  expect(thrown).toMatchObject({ code: '23502' });
  expect(await leases.effects()).toEqual([]);
});

test('a constraint that is checked at COMMIT takes the writes with it', async () => {
  await leases.sql('create table if not exists pairs (n int unique deferrable initially deferred)');
  let thrown: unknown;
  leases.during = ({ step }) =>
    step
      .transaction('a', async (tx) => {
        await tx.query('insert into pairs values (1), (1)');
        await write(tx);
      })
      .catch((error: unknown) => ((thrown = error), 'went on'));
  expect((await leases.call('rerun', key)).value).toBe('went on');
  expect(thrown).toMatchObject({ code: 'IDEMPOTENCY_TRANSACTION_BROKEN' });
  expect(await leases.effects()).toEqual([]);
});

describe('its handle', () => {
  test.each(['commit', 'rollback', 'begin', 'select 1; commit'])('refuses %s', async (sql) => {
    leases.during = ({ step }) =>
      step.transaction('a', async (tx) => {
        await expect(tx.query(sql)).rejects.toThrow(/tx\.query refuses/);
        await write(tx);
      });
    expect((await leases.call('rerun', key)).error).toBeUndefined();
    expect(await leases.effects()).toEqual(['a']);
  });

  test.each(['returned', 'thrown'])('is dead once the step has %s', async (how) => {
    let kept: Transaction | undefined;
    leases.during = async ({ step }) => {
      await step
        .transaction('a', (tx) => {
          kept = tx;
          return how === 'returned' ? 1 : raise(new Error('no'));
        })
        .catch(() => {});
      await expect(write(kept!)).rejects.toThrow(/transaction is over/);
      // Nor does it write in another's.
      await step.transaction('b', async (tx) => {
        await expect(write(kept!)).rejects.toThrow(/transaction is over/);
        await write(tx, 'b');
      });
      return 'done';
    };
    expect((await leases.call('rerun', key)).value).toBe('done');
    expect(await leases.effects()).toEqual(['b']);
  });

  test('commits what nobody awaited with the rest', async () => {
    leases.during = ({ step }) =>
      step.transaction('a', (tx) => {
        void write(tx, 'unheard');
        return 1;
      });
    await leases.call('rerun', key);
    expect(await leases.effects()).toEqual(['unheard']);
  });
});

describe('a transaction that was ended underneath', () => {
  test.each<readonly [string, (tx: Transaction) => Promise<unknown>]>([
    ['and the step returns', async () => 'done'],
    ['and the step throws', async () => raise(new Error('and now this'))],
    ['and the step throws a final error', async () => raise(new FinalError('and now this'))],
    [
      'and the session dies',
      (tx) => tx.query('select pg_terminate_backend(pg_backend_pid())').catch(() => {}),
    ],
  ])('%s: TRANSACTION_BROKEN is the answer, for ever', async (_then, then) => {
    for (const swallow of [false, true]) {
      key += '+';
      await leases.sql('truncate effects');
      leases.during = ({ step }) =>
        step
          .transaction('a', async (tx) => {
            await write(tx);
            await commitUnseen(tx);
            return then(tx);
          })
          .catch((error: unknown) => (swallow ? 'swallowed' : raise(error)));
      const first = await leases.call('rerun', key);
      leases.during = ({ step }) => step.transaction('a', (tx) => write(tx, 'again'));
      const again = await leases.call('rerun', key);
      for (const { code, error } of [first, again]) {
        expect(code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
        expect(error?.message).toMatch(/Its writes may be committed; they were not rolled back/);
      }
      expect(await leases.row(key)).toMatchObject({ state: 'completed', outcome: 'error' });
      expect(await leases.effects()).toEqual(['a']);
    }
  });

  test('a swallowed SQL error is not: it is rolled back, and a retry may execute', async () => {
    let thrown: unknown;
    leases.during = ({ step }) =>
      step
        .transaction('a', async (tx) => {
          await write(tx);
          await tx.query('select 1/0').catch(() => {});
          return 1;
        })
        .catch((error: unknown) => raise((thrown = error)));
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect((thrown as IdempotencyError).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect((thrown as Error).message).toMatch(/It was rolled back/);
    expect(await leases.effects()).toEqual([]);
    leases.during = ({ step }) => step.transaction('a', (tx) => write(tx).then(() => 'mended'));
    expect((await leases.call('rerun', key)).value).toBe('mended');
    expect(await leases.effects()).toEqual(['a']);
  });
});

describe('a transaction that Postgres ends', () => {
  const kill = (tx: Transaction) => tx.query('select pg_terminate_backend(pg_backend_pid())');
  const fail = (tx: Transaction) =>
    tx.query("do $$ begin raise exception 'x' using errcode = '40P01'; end $$");
  const hang = deferred<never>();
  test.each<readonly [string, (tx: Transaction) => unknown]>([
    ['is thrown on', (tx) => kill(tx)],
    ['is swallowed', (tx) => kill(tx).catch(() => 1)],
    ['becomes another error', (tx) => kill(tx).catch(() => raise(new Error('mine')))],
    ['becomes a final error', (tx) => kill(tx).catch(() => raise(new FinalError('mine')))],
    ['is not noticed', (tx) => (void kill(tx).catch(() => {}), hang.promise)],
  ])('is TRANSACTION_ABORTED for the resolver: the end of its session %s', async (_how, act) => {
    storeError = () => true;
    let thrown: unknown;
    leases.during = ({ step }) =>
      step
        .transaction('a', async (tx) => {
          await write(tx);
          return act(tx);
        })
        .catch((error: unknown) => raise((thrown = error)));
    const first = await within(leases.call('rerun', key));
    expect((thrown as IdempotencyError).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    expect((thrown as Error).message).toMatch(/^Mutation\.rerun: the transaction did not commit/);
    expect(first.code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(await leases.effects()).toEqual([]);
    expect(await leases.steps(key)).toEqual([]);
    leases.during = ({ step, attempt }) => step.transaction('a', (tx) => write(tx).then(() => attempt));
    expect((await leases.call('rerun', key)).value).toBe(2);
    expect(await leases.effects()).toEqual(['a']);
  });

  test.each<readonly [string, (tx: Transaction) => unknown]>([
    [
      'a timeout',
      async (tx) => {
        await tx.query('set local statement_timeout = 20');
        await tx.query('select pg_sleep(5)');
      },
    ],
    ['a deadlock', (tx) => fail(tx)],
    // Nothing in the error tells what it was made of, but the transaction knows.
    ['a deadlock that becomes a final error', (tx) => fail(tx).catch(() => raise(new FinalError('mine')))],
    ['a deadlock that becomes another error', (tx) => fail(tx).catch(() => raise(new Error('mine')))],
  ])('%s is the same', async (_what, act) => {
    storeError = () => true;
    let thrown: unknown;
    leases.during = ({ step }) =>
      step.transaction('a', act).catch((error: unknown) => raise((thrown = error)));
    expect((await leases.call('rerun', key)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(thrown).toMatchObject({ code: 'IDEMPOTENCY_TRANSACTION_ABORTED' });
    expect(await leases.steps(key)).toEqual([]);
  });
});

test('no connection for it: TRANSACTION_ABORTED, and the step did not run', async () => {
  const narrow = await startLeases({ beside: leases, poolSize: 1, acquireTimeout: 1500 });
  const ran: string[] = [];
  let thrown: unknown;
  narrow.during = ({ step }: Call) =>
    step.transaction('outer', () =>
      step
        .transaction('inner', () => ran.push('inner'))
        .catch((error: unknown) => {
          thrown = error;
          return 'went on';
        }),
    );
  expect((await narrow.call('rerun', key)).value).toBe('went on');
  expect(thrown).toMatchObject({ code: 'IDEMPOTENCY_TRANSACTION_ABORTED' });
  expect(ran).toEqual([]);
});
