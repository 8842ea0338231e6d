/** Runners that are late, try again, end their transactions by themselves or reach another database. */

import { beforeAll, describe, expect, test } from 'vitest';
import { outcomeOf, paidFor, pay } from '../../faults/postgres/retries.ts';
import { createDatabase } from '../../support/database.ts';
import { deferred } from '../../support/signal.ts';
import { libraryOn, send } from './libraries.ts';
import { poolOn } from './pool-on.ts';
import { startWith } from './start-with.ts';
import type { Runner } from './start-with.ts';

let databaseUrl: string;
beforeAll(async () => {
  ({ url: databaseUrl } = await createDatabase({ migrated: true }));
});

const never = new Promise<never>(() => {});

test('a runner that never calls its work holds a call no longer than acquireTimeout', async () => {
  let stuck = false;
  const sound = libraryOn(poolOn(databaseUrl));
  const service = await startWith(databaseUrl, (work) => (stuck ? never : sound(work)));
  stuck = true;
  expect((await pay(service, 'never-calls')).code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  stuck = false;
  expect(outcomeOf(await pay(service, 'never-calls'))).toBe('executed');
});

test('work that is called too late rolls its transaction back', async () => {
  const pool = poolOn(databaseUrl);
  const sound = libraryOn(pool);
  const late = deferred();
  let delayed = false;
  let ended: Promise<unknown> = Promise.resolve();
  const service = await startWith(databaseUrl, (work) => {
    if (!delayed) return sound(work);
    ended = late.promise.then(() => sound(work));
    return ended;
  });
  delayed = true;
  expect((await pay(service, 'late-work')).code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  late.resolve();
  await expect(ended).rejects.toThrow('rolls this transaction back');
  expect(service.runs()).toBe(0);
});

describe('a runner that tries again by itself', () => {
  function retrying(run: Runner, attempts: unknown[]): Runner {
    return async (work) => {
      try {
        await run(work);
      } catch {
        try {
          await run(work);
        } catch (error) {
          attempts.push(error);
          throw error;
        }
      }
    };
  }

  test('does not run a resolver twice that throws', async () => {
    const errors: Error[] = [];
    const service = await startWith(
      databaseUrl,
      retrying(libraryOn(poolOn(databaseUrl)), errors),
      async ({ insert }) => {
        await insert();
        throw new Error('no');
      },
    );
    await pay(service, 'retrying-throw');
    expect(service.runs()).toBe(1);
    expect(errors.at(-1)?.message).toContain('called its work a second time');
    expect(await paidFor(service, 'retrying-throw')).toBe(0);
  });

  test('does not pay twice where its COMMIT failed', async () => {
    let failing = true;
    const run = libraryOn(poolOn(databaseUrl), {
      beforeCommit: async () => {
        if (failing) throw Object.assign(new Error('cannot serialize'), { code: '40001' });
      },
    });
    failing = false;
    const service = await startWith(databaseUrl, retrying(run, []));
    failing = true;
    expect((await pay(service, 'retrying-commit')).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    expect(service.runs()).toBe(1);
    failing = false;
    expect(outcomeOf(await pay(service, 'retrying-commit'))).toBe('executed');
    expect(await paidFor(service, 'retrying-commit')).toBe(1);
  });
});

describe('a runner that ends its transaction while the resolver runs', () => {
  test.each([
    ['rolls back', 'rollback', 'IDEMPOTENCY_TRANSACTION_ABORTED', 0],
    ['commits', 'commit', 'IDEMPOTENCY_TRANSACTION_BROKEN', 1],
  ])('and %s: %s', async (_how, command, code, paid) => {
    const pool = poolOn(databaseUrl);
    const timedOut = deferred();
    let impatient = false;
    const sound = libraryOn(pool);
    // As an interactive transaction with a timeout of its own.
    const service = await startWith(
      databaseUrl,
      async (work) => {
        if (!impatient) return sound(work);
        const client = await pool.connect();
        await client.query('begin');
        const working = work({ client, query: async (text, values) => send(client, text, values) });
        await Promise.race([working, timedOut.promise]);
        await client.query(command);
        client.release();
        if (command === 'rollback') throw new Error('the transaction timed out');
        return undefined;
      },
      async ({ insert }) => {
        const payment = await insert();
        if (!impatient) return payment;
        timedOut.resolve();
        return never;
      },
    );
    impatient = true;
    const key = `ended-by-${command}`;
    expect((await pay(service, key)).code).toBe(code);
    expect(await paidFor(service, key)).toBe(paid);
    impatient = false;
    expect(outcomeOf(await pay(service, key))).toBe(paid === 0 ? 'executed' : 'replayed');
    expect(await paidFor(service, key)).toBe(1);
  });
});

test('a runner that begins to swallow errors gets no second execution for what it committed', async () => {
  const pool = poolOn(databaseUrl);
  const sound = libraryOn(pool);
  let swallows = false;
  const service = await startWith(
    databaseUrl,
    async (work) => {
      if (!swallows) return sound(work);
      const client = await pool.connect();
      await client.query('begin');
      await work({ client, query: async (text, values) => send(client, text, values) }).catch(() => {});
      await client.query('commit');
      client.release();
      return undefined;
    },
    async ({ insert }) => {
      const payment = await insert();
      if (swallows) throw new Error('no');
      return payment;
    },
  );
  swallows = true;
  const first = await pay(service, 'swallowed');
  expect(first.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await paidFor(service, 'swallowed')).toBe(1);
  swallows = false;
  expect((await pay(service, 'swallowed')).body.errors).toEqual(first.body.errors);
  expect(await paidFor(service, 'swallowed')).toBe(1);
});

describe('a transaction in another database', () => {
  test('stops the server at startup', async () => {
    const other = await createDatabase({ migrated: true });
    await expect(startWith(databaseUrl, libraryOn(poolOn(other.url)))).rejects.toThrow('in another database');
  });

  test('is refused where it begins later', async () => {
    const other = await createDatabase({ migrated: true });
    const here = libraryOn(poolOn(databaseUrl));
    const there = libraryOn(poolOn(other.url));
    let elsewhere = false;
    const service = await startWith(databaseUrl, (work) => (elsewhere ? there(work) : here(work)));
    elsewhere = true;
    expect((await pay(service, 'elsewhere')).code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    expect(service.runs()).toBe(0);
    elsewhere = false;
    expect(outcomeOf(await pay(service, 'elsewhere'))).toBe('executed');
  });
});
