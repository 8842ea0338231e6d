/** Connections are taken, or few: leases are renewed and completed all the same, and duplicates cost none. */

import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import { deferred, eventually } from '../../support/signal.ts';
import {
  done,
  expectOneOutcome,
  type LeaseEvents,
  type LeaseService,
  messages,
  openRecords,
  outcomeOf,
  type Records,
  shortTimeouts,
  startLeaseService,
  watchLeases,
} from '../lease-case.ts';

let database: TestDatabase;
let records: Records;
let events: LeaseEvents;
const services: LeaseService[] = [];
/** So many requests at once keep one process busy. */
const patient = { ...shortTimeouts, poolSize: 5, acquireTimeout: 20_000, claimTimeout: 10_000 };

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  records = await openRecords(database.url);
  events = watchLeases();
});

afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.stop()));
});

afterAll(async () => {
  events.close();
  await records.close();
  await database.drop();
});

async function start(...parameters: Parameters<typeof startLeaseService>): Promise<LeaseService> {
  const service = await startLeaseService(...parameters);
  services.push(service);
  return service;
}

it.each(['own', 'caller’s'] as const)(
  'with one connection (in the %s pool) that a transaction holds, a lease is renewed, its step recorded, its answer too',
  async (whose) => {
    const key = whose === 'own' ? 'one-own' : 'one-callers';
    const pool = new pg.Pool({ connectionString: database.url, max: 1 });
    const paying = deferred();
    const paid = deferred();
    const service = await start({
      databaseUrl: database.url,
      options: {
        ...shortTimeouts,
        lease: 2400,
        renewInterval: 300,
        reservedPoolSize: 1,
        ...(whose === 'own' ? { poolSize: 1 } : { postgres: pool }),
      },
      pay: async ({ insert }) => {
        paying.resolve();
        await paid.promise;
        return insert();
      },
    });
    const claimed = deferred();
    const gate = deferred();
    service.resolveWith(async (call) => {
      claimed.resolve();
      await gate.promise;
      await call.step('send', () => 1);
      return done(call);
    });
    const reply = service.transfer(key);
    await claimed.promise;
    const payment = service.send({ key: `${key}-pays` });
    await paying.promise;
    // Nobody gets the connection now, for longer than the lease.
    expect(outcomeOf(await service.transfer('another'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    const before = events.count(key, 'renewed');
    await eventually(() => events.count(key, 'renewed') >= before + 9);
    gate.resolve();
    expect(outcomeOf(await reply)).toBe('executed');
    expect(await records.of(key)).toMatchObject({ state: 'completed', outcome: 'result' });
    paid.resolve();
    expect((await payment).status).toBe(200);
    await expectOneOutcome(service, records, key);
    await service.stop();
    services.splice(0);
    await pool.end();
  },
);

describe('fifty duplicates of a running call', () => {
  it('are in progress at once without a connection, and a call with another key is served meanwhile', async () => {
    const proxy = await startPostgresProxy({ target: database.url });
    const service = await start({
      databaseUrl: database.url,
      options: { ...patient, postgres: proxy.url },
    });
    const other = await start({
      databaseUrl: database.url,
      options: patient,
    });
    const gate = deferred();
    service.resolveWith(async (call) => {
      if (call.key === 'running') await gate.promise;
      return done(call);
    });
    const first = service.transfer('running');
    await eventually(() => service.attempts('running').length === 1);
    proxy.reset();
    const here = Array.from({ length: 50 }, () => service.transfer('running'));
    const there = Array.from({ length: 50 }, () => other.transfer('running'));
    expect(outcomeOf(await service.transfer('unrelated-here'))).toBe('executed');
    expect(outcomeOf(await other.transfer('unrelated-there'))).toBe('executed');
    for (const reply of await Promise.all([...here, ...there])) {
      expect([reply.status, reply.code]).toEqual([409, 'IDEMPOTENCY_IN_PROGRESS']);
    }
    // The claim and the completion of the unrelated one: duplicates in one process ask nobody.
    expect(proxy.counts().roundTrips).toBe(2);
    gate.resolve();
    expect(outcomeOf(await first)).toBe('executed');
    expect([...service.attempts('running'), ...other.attempts('running')]).toEqual([1]);
    await expectOneOutcome(other, records, 'running');
    await service.stop();
    services.splice(services.indexOf(service), 1);
    await proxy.close();
  });

  it('with a new key run once, whichever process they reach', async () => {
    const two = [
      await start({ databaseUrl: database.url, options: patient }),
      await start({ databaseUrl: database.url, options: patient }),
    ] as const;
    const replies = await Promise.all(
      two.flatMap((service) => Array.from({ length: 25 }, () => service.transfer('burst'))),
    );
    const outcomes = replies.map(outcomeOf);
    expect(outcomes.filter((outcome) => outcome === 'executed')).toHaveLength(1);
    expect(
      outcomes.filter((outcome) => !/^(?:executed|replayed|IDEMPOTENCY_IN_PROGRESS)$/.test(outcome!)),
    ).toEqual([]);
    expect(two.flatMap((service) => service.attempts('burst'))).toEqual([1]);
  });
});

describe('fifty retries of an abandoned call', () => {
  it('take it over once, whichever process they reach', async () => {
    const two = [
      await start({ databaseUrl: database.url, options: patient }),
      await start({ databaseUrl: database.url, options: patient }),
    ] as const;
    two[0].resolveWith(() => {
      throw new Error('who knows');
    });
    await two[0].transfer('abandoned', 'transferAgain');
    two[0].resolveWith();
    const replies = await Promise.all(
      two.flatMap((service) =>
        Array.from({ length: 25 }, () => service.transfer('abandoned', 'transferAgain')),
      ),
    );
    expect(replies.map(outcomeOf).filter((outcome) => outcome === 'executed')).toHaveLength(1);
    expect(two.map((service) => service.attempts('abandoned').length).reduce((a, b) => a + b)).toBe(2);
    await expectOneOutcome(two[0], records, 'abandoned', { attempt: 2, field: 'transferAgain' });
  });
});

describe('a look at an abandoned call that is overtaken', () => {
  it('by the completion of its holder takes nothing over: the completed record stands', async () => {
    const proxy = await startPostgresProxy({ target: database.url });
    // It renews its lease only long after this.
    const holder = await start({ databaseUrl: database.url, options: shortTimeouts });
    const looker = await start({
      databaseUrl: database.url,
      options: { ...shortTimeouts, postgres: proxy.url, claimTimeout: 10_000 },
    });
    await looker.transfer('warm');
    const gate = deferred();
    holder.resolveWith(async (call) => {
      await gate.promise;
      return done(call);
    });
    const reply = holder.transfer('overtaken', 'transferAgain');
    await eventually(() => holder.attempts('overtaken').length === 1);
    await records.client.query(
      `update graphql_idempotency.record set lease_until = clock_timestamp() where state = 'pending'`,
    );
    const takeover = proxy.on(messages.takeOver, 'hold');
    const look = looker.transfer('overtaken', 'transferAgain');
    await takeover.matched;
    gate.resolve();
    expect(outcomeOf(await reply)).toBe('executed');
    takeover.release();
    expect(outcomeOf(await look)).toMatch(/^(?:replayed|IDEMPOTENCY_IN_PROGRESS)$/);
    expect(looker.attempts('overtaken')).toEqual([]);
    await expectOneOutcome(looker, records, 'overtaken', { field: 'transferAgain' });
    await looker.stop();
    services.splice(services.indexOf(looker), 1);
    await proxy.close();
  });
});
