/** `inFlight: WAIT`: a duplicate waits for the first call's answer, in both modes, here and elsewhere. */

import { describe, expect, test } from 'vitest';
import { CRASH, executed, leaseCase, replayed, said } from '../recovery/lease-case.ts';
import type { FieldName, Instance, InstanceOptions, LeaseCase } from '../recovery/lease-case.ts';
import { deferred, eventually, within } from '../support/signal.ts';
import type { Deferred } from '../support/signal.ts';

interface InFlight extends LeaseCase {
  /** Where the first call executes, and where the duplicates are sent. */
  readonly first: Instance;
  readonly second: Instance;
  readonly finish: Deferred<'throw' | undefined>;
  readonly begin: (key?: string) => Promise<unknown>;
}

/** The first execution waits for `finish`; later ones answer 100 more than they were asked. */
async function inFlight(
  field: FieldName,
  where: 'one instance' | 'two instances',
  options: InstanceOptions['options'] = {},
): Promise<InFlight> {
  const environment = await leaseCase();
  const finish = environment.hold<'throw'>();
  const begun = deferred();
  let executions = 0;
  const work: NonNullable<InstanceOptions['work']> = async (_, n) => {
    executions += 1;
    if (executions > 1) return n + 100;
    begun.resolve();
    if ((await finish.promise) === 'throw') throw CRASH;
    return n;
  };
  const first = await environment.start({ work, options });
  const second = where === 'one instance' ? first : await environment.start({ work, options });
  return {
    ...environment,
    first,
    second,
    finish,
    async begin(key = 'a') {
      const answer = first.call(field, key).then(said);
      // One that is refused would never begin.
      expect(await Promise.race([begun.promise, answer])).toBeUndefined();
      return { answer };
    },
  };
}

const everywhere = (['waitLease', 'waitTx'] as const).flatMap((field) =>
  (['one instance', 'two instances'] as const).map((where) => [field, where] as const),
);

describe.each(everywhere)('%s, %s', (field, where) => {
  test('a duplicate gets the answer as a replay when the first call has completed', async () => {
    const { begin, second, finish, first } = await inFlight(field, where);
    const { answer } = (await begin()) as { answer: Promise<unknown> };
    const waiting = second.call(field, 'a').then(said);
    let settled = false;
    void waiting.then(() => (settled = true));
    // Another key's whole call, from the same client, takes longer than a refusal would have.
    expect(said(await second.call(field, 'other'))).toEqual(executed(101));
    expect(settled).toBe(false);
    finish.resolve(undefined);
    expect(await answer).toEqual(executed(1));
    expect(await waiting).toEqual(replayed(1));
    expect(first.executed.length + (first === second ? 0 : second.executed.length)).toBe(2);
  });

  test('it waits no longer than waitTimeout, and is told IN_PROGRESS then', async () => {
    const { begin, second, finish } = await inFlight(field, where, { waitTimeout: 300 });
    await begin();
    const asked = performance.now();
    const reply = await second.call(field, 'a');
    const waitedMs = performance.now() - asked;
    expect(said(reply)).toBe('IN_PROGRESS');
    expect(reply.status).toBe(409);
    expect(reply.headers.get('retry-after')).toBe('1');
    expect(waitedMs).toBeGreaterThanOrEqual(295);
    expect(waitedMs).toBeLessThan(8000);
    finish.resolve(undefined);
  });

  test('another operation under the key is told at once that it was used', async () => {
    const { begin, second, finish } = await inFlight(field, where, { waitTimeout: 20_000 });
    await begin();
    // In mode TRANSACTION nothing says what the first call is until it has committed.
    const reused = second.call(field, 'a', 2).then(said);
    if (field === 'waitTx' || where === 'one instance') finish.resolve(undefined);
    expect(await within(reused)).toBe('KEY_REUSED');
    finish.resolve(undefined);
  });
});

describe.each(['one instance', 'two instances'] as const)('when the first call fails, %s', (where) => {
  test('TRANSACTION: it was rolled back, and one of those who wait executes', async () => {
    const { begin, first, second, finish } = await inFlight('waitTx', where);
    const { answer } = (await begin()) as { answer: Promise<unknown> };
    const waiting = [1, 2, 3].map(() => second.call('waitTx', 'a').then(said));
    finish.resolve('throw');
    await answer;
    const answers = await Promise.all(waiting);
    expect(answers.filter((one) => (one as { outcome: string }).outcome === 'executed')).toHaveLength(1);
    for (const one of answers) expect(one).toMatchObject({ value: 101 });
    expect(new Set([...first.executed, ...second.executed])).toEqual(new Set([1]));
  });

  test('LEASE, RERUN: one of those who wait executes the next attempt', async () => {
    const { begin, first, second, finish } = await inFlight('waitLease', where);
    const { answer } = (await begin()) as { answer: Promise<unknown> };
    const waiting = [1, 2, 3].map(() => second.call('waitLease', 'a').then(said));
    finish.resolve('throw');
    expect(await answer).toBe('OUTCOME_UNKNOWN');
    const answers = await Promise.all(waiting);
    expect(answers.filter((one) => (one as { outcome: string }).outcome === 'executed')).toHaveLength(1);
    for (const one of answers) expect(one).toMatchObject({ value: 101 });
    expect(new Set([...first.executed, ...second.executed])).toEqual(new Set([1, 2]));
  });

  test('LEASE: of one that has lapsed, those who wait take over', async () => {
    const { begin, second, finish, lapse } = await inFlight('waitLease', where);
    const { answer } = (await begin()) as { answer: Promise<unknown> };
    const waiting = second.call('waitLease', 'a').then(said);
    await lapse();
    // In the same process its end is waited for, not its lease's.
    if (where === 'one instance') {
      finish.resolve(undefined);
      expect(await waiting).toEqual(replayed(1));
      expect(await answer).toEqual(executed(1));
    } else {
      expect(await waiting).toEqual(executed(101));
      finish.resolve(undefined);
      expect(await answer).toBe('LEASE_LOST');
    }
  });
});

test('those who wait for a callback get what it finds out', async () => {
  const { start, hold } = await leaseCase();
  const looking = hold();
  let asked = 0;
  const options: InstanceOptions['options'] = {
    recover: {
      'Mutation.waitLease': async () => {
        asked += 1;
        await looking.promise;
        return { outcome: 'completed', result: 77 };
      },
    },
  };
  const work = () => {
    throw CRASH;
  };
  const [one, two] = [await start({ work, options }), await start({ work, options })];
  expect(said(await one.call('waitLease', 'a'))).toBe('OUTCOME_UNKNOWN');
  const waiting = [one, two, one, two].map((instance) => instance.call('waitLease', 'a').then(said));
  await eventually(() => asked === 1);
  looking.resolve(undefined);
  expect(await Promise.all(waiting)).toEqual(waiting.map(() => replayed(77)));
  expect(asked).toBe(1);
});
