/** A server that stops while attempts in lease mode, or callbacks, are under way. */

import { expect, test } from 'vitest';
import { deferred, within } from '../support/signal.ts';
import { CRASH, executed, leaseCase, replayed, said } from './lease-case.ts';
import { leaseMessages } from './lease-messages.ts';

test('lets an attempt in flight finish, and then closes', async () => {
  const { start, hold, until } = await leaseCase();
  const finish = hold();
  const instance = await start({
    work: async (_, n) => {
      await finish.promise;
      return n;
    },
    options: { drainTimeout: 20_000 },
  });
  const answering = instance.call('refuse', 'a');
  await until('pending');
  const closing = instance.idempotency.close();
  finish.resolve(undefined);
  expect(said(await answering)).toEqual(executed(1));
  await closing;
  const other = await start();
  expect(said(await other.call('refuse', 'a'))).toEqual(replayed(1));
});

test.each([
  ['refuse', 'OUTCOME_UNKNOWN'],
  ['rerun', executed(2)],
] as const)(
  'gives up the lease of one that outlives the drain: nobody waits for its end (%s)',
  async (field, answer) => {
    const { start, hold, until, rows } = await leaseCase();
    const finish = hold();
    const aborted = deferred<unknown>();
    const instance = await start({
      work: async ({ signal }) => {
        signal.addEventListener('abort', () => aborted.resolve(signal.reason));
        await finish.promise;
        return 1;
      },
      options: { drainTimeout: 100 },
    });
    const other = await start({ work: ({ attempt }) => attempt });
    const late = instance.call(field, 'a');
    await until('pending');
    expect(said(await other.call(field, 'a'))).toBe('IN_PROGRESS');
    const begun = performance.now();
    await within(instance.idempotency.close());
    // The lease lasts for half a minute, and the next renewal is ten seconds away.
    expect(performance.now() - begun).toBeLessThan(5000);
    expect(said(await other.call(field, 'a'))).toEqual(answer);
    // Whoever runs it is told to stop, and its caller that it does not count.
    await within(aborted.promise, { timeoutMs: 5000 });
    expect(said(await within(late, { timeoutMs: 5000 }))).toBe('LEASE_LOST');
    finish.resolve(undefined);
    expect(said(await other.call(field, 'a'))).toEqual(answer === 'OUTCOME_UNKNOWN' ? answer : replayed(2));
    expect((await rows())[0]!.attempt).toBe(field === 'rerun' ? 2 : 1);
  },
);

test('does not wait for a callback of the background recovery; the next instance is offered the record', async () => {
  const { start, hold } = await leaseCase();
  const messages = leaseMessages();
  const looking = hold();
  const failing = await start({
    work: () => {
      throw CRASH;
    },
  });
  await failing.call('refuse', 'a');
  const instance = await start({
    options: {
      drainTimeout: 100,
      recoverInterval: 20,
      recover: {
        'Mutation.refuse': async () => {
          await looking.promise;
          return { outcome: 'completed', result: 1 };
        },
      },
    },
  });
  await messages.until('recovering');
  await within(instance.idempotency.close(), { timeoutMs: 5000, what: 'the end of the server' });
  const next = await start({
    options: { recover: { 'Mutation.refuse': () => ({ outcome: 'completed', result: 2 }) } },
  });
  expect(said(await next.call('refuse', 'a'))).toEqual(replayed(2));
  looking.resolve(undefined);
  expect(said(await next.call('refuse', 'a'))).toEqual(replayed(2));
});

test('the same of a callback that a client’s retry waits for', async () => {
  const { start, hold } = await leaseCase();
  const messages = leaseMessages();
  const looking = hold();
  const instance = await start({
    work: () => {
      throw CRASH;
    },
    options: {
      drainTimeout: 100,
      recover: {
        'Mutation.refuse': async () => {
          await looking.promise;
          return { outcome: 'completed', result: 1 };
        },
      },
    },
  });
  await instance.call('refuse', 'a');
  const asking = instance.call('refuse', 'a');
  await messages.until('recovering');
  await within(instance.idempotency.close(), { timeoutMs: 5000 });
  expect(said(await within(asking, { timeoutMs: 5000 }))).toBe('IN_PROGRESS');
  const next = await start();
  expect(said(await next.call('refuse', 'a'))).toBe('OUTCOME_UNKNOWN');
});
