/** How long a lease lives: renewals on the database's clock, and their end. */

import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sendAndForget } from '../../apollo/raw-http.ts';
import { startService } from '../../support/service.ts';
import { deferred, eventually, within } from '../../support/signal.ts';
import { startLeases } from './leases.ts';
import type { Leases } from './leases.ts';

const LEASE_MS = 2400;
const short = { lease: LEASE_MS, claimTimeout: 800 };

let leases: Leases;
let beside: Leases;
let keys = 0;
let key: string;
beforeAll(async () => {
  leases = await startLeases(short);
  beside = await startLeases({ beside: leases, ...short });
});
beforeEach(() => {
  key = `renewals-${(keys += 1)}`;
  beside.counts.runs = 0;
});

const leaseEndMs = async (of: string): Promise<number> => (await leases.row(of))!.lease_until!.getTime();

test.each<readonly [string, number, number]>([
  ['a third of the lease', 0, LEASE_MS / 3],
  ['renewInterval', 50, 50],
])('while an attempt runs, its lease is renewed at %s', async (_at, renewInterval, expectedMs) => {
  const renewing = await startLeases({ beside: leases, ...short, renewInterval });
  const goOn = deferred();
  renewing.during = () => goOn.promise.then(() => 'done');
  const answer = renewing.call('rerun', key);
  await eventually(async () => (await leases.row(key)) !== undefined);
  const ends = [await leaseEndMs(key)];
  // For longer than the lease would live by itself.
  while (ends.at(-1)! <= ends[0]! + LEASE_MS) {
    const last = ends.at(-1)!;
    ends.push(
      await eventually(async () => {
        const end = await leaseEndMs(key);
        return end !== last && end;
      }),
    );
    expect((await beside.call('rerun', key)).code).toBe('IDEMPOTENCY_IN_PROGRESS');
  }
  const steps = ends.slice(1).map((end, index) => end - ends[index]!);
  expect(steps.length).toBeGreaterThanOrEqual(expectedMs === 50 ? 3 : 2);
  for (const step of steps) expect(step).toBeGreaterThanOrEqual(expectedMs - 20);
  goOn.resolve();
  expect((await answer).value).toBe('done');
  expect(beside.counts.runs).toBe(0);
});

test('a lease is counted by the clock of the database, from its claim', async () => {
  const goOn = deferred();
  const long = await startLeases({ beside: leases, lease: 30_000 });
  long.during = () => goOn.promise;
  const before = (await leases.sql('select clock_timestamp() as at')).rows[0].at as Date;
  const answer = long.call('rerun', key);
  await eventually(async () => (await leases.row(key)) !== undefined);
  const after = (await leases.sql('select clock_timestamp() as at')).rows[0].at as Date;
  const end = await leaseEndMs(key);
  expect(end).toBeGreaterThanOrEqual(before.getTime() + 30_000 - 1);
  expect(end).toBeLessThanOrEqual(after.getTime() + 30_000 + 1);
  goOn.resolve();
  await answer;
});

test('renewals wait for no connection that resolvers hold', async () => {
  const narrow = await startLeases({ beside: leases, ...short, poolSize: 1, renewInterval: 50 });
  const goOn = deferred();
  narrow.during = ({ step }) =>
    step.transaction('a', async (tx) => {
      await tx.query('select 1');
      await goOn.promise;
      return 'done';
    });
  const answer = narrow.call('rerun', key);
  await eventually(async () => (await leases.row(key)) !== undefined);
  const first = await leaseEndMs(key);
  await eventually(async () => (await leaseEndMs(key)) > first + LEASE_MS);
  goOn.resolve();
  expect((await answer).value).toBe('done');
});

describe('attemptTimeout', () => {
  let bounded: Leases;
  beforeAll(async () => {
    bounded = await startLeases({
      beside: leases,
      ...short,
      renewInterval: 50,
      attemptTimeout: LEASE_MS + 10,
    });
  });

  test('ends the renewals and aborts the signal; when the lease is over, so is the attempt', async () => {
    const [never, reached] = [deferred(), deferred<AbortSignal>()];
    const ran: string[] = [];
    let refused: unknown;
    bounded.during = async ({ signal, step }) => {
      reached.resolve(signal);
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      refused = await step('a', () => ran.push('a')).catch((error: unknown) => error);
      await never.promise;
    };
    const answer = bounded.call('rerun', key);
    const signal = await reached.promise;
    await within(new Promise((resolve) => signal.addEventListener('abort', resolve)));
    expect((signal.reason as Error).message).toBe(`the attempt lasted longer than ${LEASE_MS + 10} ms`);
    // Still nobody else's, until the lease is over.
    expect((await beside.call('rerun', key)).code).toBe('IDEMPOTENCY_IN_PROGRESS');
    const end = await leaseEndMs(key);
    expect((await within(answer)).code).toBe('IDEMPOTENCY_LEASE_LOST');
    expect(await leaseEndMs(key)).toBe(end);
    expect(refused).toMatchObject({ code: 'IDEMPOTENCY_LEASE_LOST' });
    expect(ran).toEqual([]);
    beside.during = ({ attempt }) => attempt;
    await eventually(async () => (await beside.call('rerun', key)).value === 2);
    never.resolve();
  });

  test('an attempt that ends before its lease does completes all the same', async () => {
    bounded.during = async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      return 'just in time';
    };
    expect((await within(bounded.call('rerun', key))).value).toBe('just in time');
    expect((await beside.call('rerun', key)).value).toBe('just in time');
  });
});

test('H2: a client that disconnects ends neither the work nor the renewals', async () => {
  const [reached, goOn] = [deferred(), deferred()];
  let runs = 0;
  const service = await startService({
    databaseUrl: leases.url,
    options: { ...short, recoverInterval: 0 },
    typeDefs: 'extend type Mutation { wire(n: Int!): Int @idempotent(mode: LEASE) }',
    resolvers: () => ({
      Mutation: {
        wire: async (_: unknown, { n }: { n: number }) => {
          runs += 1;
          reached.resolve();
          await goOn.promise;
          return n;
        },
      },
    }),
  });
  try {
    const query = 'mutation { wire(n: 5) }';
    const request = sendAndForget(service.url, { headers: [['idempotency-key', key]], body: { query } });
    await reached.promise;
    request.destroy();
    const first = await leaseEndMs(key);
    await eventually(async () => (await leaseEndMs(key)) > first + LEASE_MS);
    const meanwhile = await service.send({ key, query });
    expect([meanwhile.status, meanwhile.code]).toEqual([409, 'IDEMPOTENCY_IN_PROGRESS']);
    goOn.resolve();
    const again = await eventually(async () => {
      const reply = await service.send({ key, query });
      return reply.status === 200 && reply;
    });
    expect(again.body.data).toEqual({ wire: 5 });
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(runs).toBe(1);
  } finally {
    await service.stop();
  }
});
