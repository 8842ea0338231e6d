/** While `recover` looks something up it holds the lease, and loses it like any other holder. */

import type { AbandonedRecord, RecoverAttempt } from 'graphql-idempotency';
import { expect, test } from 'vitest';
import { deferred, eventually } from '../support/signal.ts';
import { CRASH, executed, leaseCase, replayed, said } from './lease-case.ts';
import type { Work } from './lease-case.ts';
import { leaseMessages } from './lease-messages.ts';

const failing: Work = () => {
  throw CRASH;
};

const on = (recover: RecoverAttempt) => ({ recover: { 'Mutation.refuse': recover } });

test('it gets the record: identity, field, attempt, since when, steps with their values, keys, a signal', async () => {
  const { start, client } = await leaseCase();
  const offered = deferred<AbandonedRecord & { readonly signal: AbortSignal }>();
  const keys: Record<string, string> = {};
  const instance = await start({
    async work({ step, deriveKey }) {
      keys['derived'] = deriveKey('charge');
      await step('charge', ({ key }) => {
        keys['charge'] = key;
        return { id: 'ch_1', at: new Date(0) };
      });
      await step('nothing', () => undefined);
      await step(
        'declined',
        () => {
          throw new Error('declined');
        },
        { isFinal: () => true },
      ).catch(() => {});
      await step('ship', ({ key }) => {
        keys['ship'] = key;
        throw CRASH;
      });
    },
    options: on((record) => {
      offered.resolve(record);
      return { outcome: 'unknown' };
    }),
  });
  const before = Date.now();
  await instance.call('refuse', 'a');
  const after = Date.now();
  expect(said(await instance.call('refuse', 'a'))).toBe('OUTCOME_UNKNOWN');
  const record = await offered.promise;
  const { rows } = await client.query(
    `select encode(identity, 'hex') as identity from graphql_idempotency.record`,
  );
  expect(record).toMatchObject({ identity: rows[0].identity, coordinate: 'Mutation.refuse', attempt: 1 });
  expect(record.abandonedAt.getTime()).toBeGreaterThanOrEqual(before - 1);
  expect(record.abandonedAt.getTime()).toBeLessThanOrEqual(after + 1);
  expect(record.steps).toEqual([
    { name: 'charge', attempt: 1, outcome: 'result', value: { id: 'ch_1', at: new Date(0) } },
    { name: 'nothing', attempt: 1, outcome: 'result', value: undefined },
    {
      name: 'declined',
      attempt: 1,
      outcome: 'error',
      value: expect.objectContaining({ message: 'declined' }),
    },
  ]);
  expect(record.deriveKey('charge')).toBe(keys['charge']);
  expect(record.deriveKey('charge')).toBe(keys['derived']);
  expect(record.deriveKey('ship')).toBe(keys['ship']);
  expect(keys['ship']).not.toBe(keys['charge']);
  expect(record.signal).toBeInstanceOf(AbortSignal);
});

test('a step of a lapsed attempt that is rerun later is offered with the attempt that recorded it', async () => {
  const { start } = await leaseCase();
  const offered: AbandonedRecord[] = [];
  const instance = await start({
    async work({ step, attempt }) {
      await step('first', () => 'one');
      if (attempt === 2) await step('second', () => 'two');
      throw CRASH;
    },
    options: {
      recover: {
        'Mutation.rerun': (record) => {
          offered.push(record);
          return { outcome: 'unknown' };
        },
      },
    },
  });
  for (let index = 0; index < 3; index += 1) await instance.call('rerun', 'a');
  expect(offered.map(({ attempt }) => attempt)).toEqual([1, 2]);
  expect(offered[1]!.steps.map(({ name, attempt }) => [name, attempt])).toEqual([
    ['first', 1],
    ['second', 2],
  ]);
});

test('others are told IN_PROGRESS while it runs, here and elsewhere, and are not offered the record', async () => {
  const { start, hold } = await leaseCase();
  const answer = hold();
  let offers = 0;
  const options = on(async () => {
    offers += 1;
    await answer.promise;
    return { outcome: 'completed', result: 5 };
  });
  const [one, two] = [await start({ work: failing, options }), await start({ work: failing, options })];
  await one.call('refuse', 'a');
  const asking = one.call('refuse', 'a');
  await eventually(() => offers === 1);
  for (const instance of [one, two, one, two]) {
    expect(said(await instance.call('refuse', 'a'))).toBe('IN_PROGRESS');
  }
  expect(await two.idempotency.recover()).toEqual({ offered: 0, completed: 0, notExecuted: 0, unknown: 0 });
  expect(await two.idempotency.abandoned()).toEqual([]);
  answer.resolve(undefined);
  expect(said(await asking)).toEqual(replayed(5));
  expect(said(await two.call('refuse', 'a'))).toEqual(replayed(5));
  expect(offers).toBe(1);
});

test('a look-up that takes longer than the lease keeps it by renewing', async () => {
  const { start, hold } = await leaseCase();
  const messages = leaseMessages();
  const answer = hold();
  let offers = 0;
  const options = {
    lease: 4200,
    renewInterval: 1000,
    ...on(async ({ signal }) => {
      offers += 1;
      await answer.promise;
      return { outcome: 'completed', result: signal.aborted ? 0 : 5 };
    }),
  };
  const [one, two] = [await start({ work: failing, options }), await start({ work: failing, options })];
  await one.call('refuse', 'a');
  const asking = one.call('refuse', 'a');
  // Every second: five of them last longer than one lease.
  await messages.until('renewed', 5);
  expect(said(await two.call('refuse', 'a'))).toBe('IN_PROGRESS');
  answer.resolve(undefined);
  expect(said(await asking)).toEqual(replayed(5));
  expect(offers).toBe(1);
  expect(messages.all.map(({ event }) => event).filter((event) => !event.startsWith('renew'))).toEqual([
    'claimed',
    'abandoned',
    'recovering',
    'completed',
  ]);
});

test('one that loses its lease cannot settle anything: the next one is offered it, and its answer stands', async () => {
  const { start, hold, lapse, rows } = await leaseCase();
  const messages = leaseMessages();
  const late = hold();
  const seen: AbandonedRecord[] = [];
  const one = await start({
    work: failing,
    options: on(async (record) => {
      seen.push(record);
      await late.promise;
      return { outcome: 'completed', result: 1 };
    }),
  });
  const two = await start({
    options: on((record) => {
      seen.push(record);
      return { outcome: 'completed', result: 2 };
    }),
  });
  await one.call('refuse', 'a');
  const asking = one.call('refuse', 'a');
  await messages.until('recovering');
  await lapse();
  expect(said(await two.call('refuse', 'a'))).toEqual(replayed(2));
  late.resolve(undefined);
  expect(said(await asking)).toBe('IN_PROGRESS');
  expect(said(await one.call('refuse', 'a'))).toEqual(replayed(2));
  expect(await rows()).toEqual([{ state: 'completed', attempt: 1, outcome: 'result' }]);
  // Whoever failed to find out is no attempt, and does not change since when it is abandoned.
  expect(seen).toHaveLength(2);
  expect(seen[1]).toMatchObject({ attempt: 1, abandonedAt: seen[0]!.abandonedAt });
});

test.each(['not-executed', 'unknown'] as const)(
  'nor can one that says "%s" too late free what another has settled',
  async (outcome) => {
    const { start, hold, lapse, rows } = await leaseCase();
    const messages = leaseMessages();
    const late = hold();
    const one = await start({
      work: failing,
      options: on(async () => {
        await late.promise;
        return { outcome };
      }),
    });
    const two = await start({ options: on(() => ({ outcome: 'completed', result: 2 })) });
    await one.call('refuse', 'a');
    const asking = one.call('refuse', 'a');
    await messages.until('recovering');
    await lapse();
    expect(said(await two.call('refuse', 'a'))).toEqual(replayed(2));
    late.resolve(undefined);
    expect(said(await asking)).toBe('IN_PROGRESS');
    expect(await rows()).toEqual([{ state: 'completed', attempt: 1, outcome: 'result' }]);
    expect(said(await one.call('refuse', 'a'))).toEqual(replayed(2));
  },
);

test('the owner of the attempt that comes back while it is looked up cannot complete it any more', async () => {
  const { start, hold, lapse, until } = await leaseCase();
  const [working, looking] = [hold(), hold()];
  const messages = leaseMessages();
  const owner = await start({
    work: async (_, n) => {
      await working.promise;
      return n;
    },
  });
  const other = await start({
    work: (_, n) => n + 100,
    options: on(async () => {
      await looking.promise;
      return { outcome: 'not-executed' };
    }),
  });
  const late = owner.call('refuse', 'a', 1);
  await until('pending');
  await lapse();
  const asking = other.call('refuse', 'a', 1);
  await messages.until('recovering');
  working.resolve(undefined);
  expect(said(await late)).toBe('LEASE_LOST');
  looking.resolve(undefined);
  expect(said(await asking)).toEqual(executed(101));
  expect(said(await owner.call('refuse', 'a', 1))).toEqual(replayed(101));
});
