/** More calls than connections: duplicates cost none, and who finds none free is told so quickly. */

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import { type PayCall, type Service, startService } from '../../support/service.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from './retries.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
});

afterAll(() => database.drop());

describe('with five connections', () => {
  let gate = deferred();
  let services: Service[];
  const slowPay = async ({ args, insert }: PayCall): Promise<unknown> => {
    if (args.note?.startsWith('slow')) await gate.promise;
    return insert();
  };

  beforeAll(async () => {
    const start = (): Promise<Service> =>
      startService({
        databaseUrl: database.url,
        // Long, so that nothing here is decided by a deadline.
        options: { migrate: false, poolSize: 5, acquireTimeout: 20_000, claimTimeout: 20_000 },
        pay: slowPay,
      });
    services = [await start(), await start()];
  });

  afterAll(() => Promise.all(services.map((service) => service.stop())));

  it('500 duplicates of a running call are told to wait, and an unrelated key is served meanwhile', async () => {
    gate = deferred();
    const [one, two] = services as [Service, Service];
    const first = pay(one, 'slow');
    await eventually(() => one.runs() === 1);
    const duplicates = Promise.all([one, two].map((service) => payAtOnce(service, Array(250).fill('slow'))));
    expect(outcomeOf(await pay(one, 'unrelated'))).toBe('executed');
    expect(outcomeOf(await pay(two, 'unrelated-too'))).toBe('executed');
    // All of them, while the first still runs.
    const outcomes = (await duplicates).flat();
    expect(outcomes).toEqual(Array(500).fill('IDEMPOTENCY_IN_PROGRESS'));
    gate.resolve();
    expect(outcomeOf(await first)).toBe('executed');
    await expectOnePayment(one, 'slow', 'replayed');
  });

  it('500 calls with one new key make one payment', async () => {
    const burst = services.map((service) => payAtOnce(service, Array(250).fill('burst')));
    const outcomes = (await Promise.all(burst)).flat();
    expect(outcomes.filter((outcome) => outcome === 'executed')).toHaveLength(1);
    expect(
      outcomes.filter((outcome) => !/^(?:executed|replayed|IDEMPOTENCY_IN_PROGRESS)$/.test(outcome!)),
    ).toEqual([]);
    await expectOnePayment(services[0]!, 'burst', 'replayed');
  });

  it('500 simultaneous retries of a completed call are all replayed', async () => {
    await pay(services[0]!, 'completed');
    const outcomes = await payAtOnce(services[0]!, Array(500).fill('completed'));
    expect(outcomes).toEqual(Array(500).fill('replayed'));
    expect(await paidFor(services[0]!, 'completed')).toBe(1);
  });

  it('200 keys at once all execute, each once', async () => {
    const keys = Array.from({ length: 200 }, (_, index) => `many-${index}`);
    expect(await payAtOnce(services[0]!, keys)).toEqual(Array(200).fill('executed'));
    const notes = (await services[0]!.payments()).map(({ note }) => note);
    const paid = notes.filter((note) => note?.startsWith('many-'));
    expect(paid).toHaveLength(200);
    expect(new Set(paid)).toEqual(new Set(keys));
  });
});

/** Sends one payment for each key, all in one HTTP request, whose entries run at the same time. */
async function payAtOnce(service: Service, keys: readonly string[]): Promise<(string | undefined)[]> {
  const query = `mutation ($key: String!) { pay(amount: 100, note: $key) @idempotent(key: $key) { id amount note } }`;
  const { body } = await service.post(keys.map((key) => ({ query, variables: { key } })));
  return (body as { errors?: { extensions: { code: string } }[]; extensions?: Outcomes }[]).map(
    ({ errors, extensions }) => extensions?.idempotency?.pay.outcome ?? errors?.[0]?.extensions.code,
  );
}

interface Outcomes {
  readonly idempotency?: { readonly pay: { readonly outcome: string } };
}

describe('with one connection that is taken', () => {
  it('others are STORE_UNAVAILABLE: in time, without running, and beyond the queue at once', async () => {
    const gate = deferred();
    const pool = new pg.Pool({ connectionString: database.url, max: 1 });
    pool.on('error', () => {});
    const service = await startService({
      databaseUrl: database.url,
      options: {
        ...shortTimeouts,
        migrate: false,
        postgres: pool,
        poolQueueSize: 2,
        acquireTimeout: 3000,
      },
      pay: async ({ args, insert }) => {
        if (args.note === 'holds') await gate.promise;
        return insert();
      },
    });
    const holder = pay(service, 'holds');
    await eventually(() => service.runs() === 1);
    const started = performance.now();
    const taken: number[] = [];
    const refused = ['queued-1', 'queued-2', 'too-many'].map(async (key) => {
      const reply = await pay(service, key);
      taken.push(performance.now() - started);
      return reply;
    });
    for (const reply of await Promise.all(refused)) {
      expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
      expect(reply.body.errors[0].extensions).toMatchObject({ retryable: true });
    }
    // One is too many, and is told so before those who wait.
    const [first, second, third] = taken as [number, number, number];
    expect(first).toBeLessThan(2999);
    expect(Math.min(second, third)).toBeGreaterThanOrEqual(2999);
    expect(service.runs()).toBe(1);
    // A duplicate of the call that runs needs no connection to be told so.
    expect(outcomeOf(await pay(service, 'holds'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    gate.resolve();
    expect(outcomeOf(await holder)).toBe('executed');
    await expectOnePayment(service, 'queued-1', 'executed');
    await expectOnePayment(service, 'too-many', 'executed');
    await service.stop();
    await pool.end();
  });

  it('a lost COMMIT is still resolved: probes have connections of their own', async () => {
    const proxy = await startPostgresProxy({ target: database.url });
    const pool = new pg.Pool({ connectionString: proxy.url, max: 1 });
    pool.on('error', () => {});
    const behindWaits = deferred();
    let asked = 0;
    const lostIsAnswered = deferred();
    const service = await startService({
      databaseUrl: database.url,
      options: {
        ...shortTimeouts,
        migrate: false,
        postgres: pool,
        reservedPoolSize: 1,
        acquireTimeout: 8000,
        scope: ({ user }) => {
          asked += 1;
          return user;
        },
      },
      pay: async ({ args, insert }) => {
        await (args.note === 'lost' ? behindWaits : lostIsAnswered).promise;
        return insert();
      },
    });
    proxy.on({ from: 'server', tag: 'COMMIT' }, 'cut-before');
    const lost = pay(service, 'lost');
    await eventually(() => service.runs() === 1);
    const behind = pay(service, 'behind');
    await eventually(() => asked === 2);
    await new Promise((resolve) => setImmediate(resolve));
    // Whoever waits gets the place of the lost connection, and keeps it until the lost COMMIT is resolved.
    behindWaits.resolve();
    expect(outcomeOf(await lost)).toBe('replayed');
    lostIsAnswered.resolve();
    expect(outcomeOf(await behind)).toBe('executed');
    await service.stop();
    await pool.end();
    await proxy.close();
  });
});
