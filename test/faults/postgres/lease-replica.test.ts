/** A replica grants no lease and takes none over; after a failover the attempt completes on the new primary. */

import { afterAll, beforeAll, expect, it } from 'vitest';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { type PostgresServer, startPostgres } from '../../support/postgres-server.ts';
import { deferred, eventually } from '../../support/signal.ts';
import {
  done,
  expectOneOutcome,
  type LeaseService,
  openRecords,
  outcomeOf,
  type Records,
  shortTimeouts,
  startLeaseService,
  transferUntil,
  watchLeases,
} from '../lease-case.ts';

let primary: PostgresServer;
let standby: PostgresServer;
/** An address that follows whatever the test says is the primary. */
let address: PostgresProxy;
let service: LeaseService;
let onStandby: Records;

beforeAll(async () => {
  primary = await startPostgres({ settings: { wal_level: 'replica' } });
  standby = await primary.startStandby();
  address = await startPostgresProxy({ target: primary.url });
  service = await startLeaseService({
    databaseUrl: address.url,
    options: { ...shortTimeouts, migrate: true, lease: 20_000, renewInterval: 200, probeTimeout: 15_000 },
  });
  service.resolveWith((call) => {
    if (call.key === 'open') throw new Error('who knows');
    return done(call);
  });
  await service.transfer('before');
  await service.transfer('open', 'transferAgain');
  onStandby = await openRecords(standby.url);
  await eventually(async () => (await onStandby.of('open'))?.state === 'unknown');
});

afterAll(async () => {
  await service.stop();
  await onStandby.close();
  await address.close();
  await Promise.all([primary.remove(), standby.remove()]);
});

it('a replica is refused by claims, replays and takeovers, and nothing runs', async () => {
  address.retarget(standby.url);
  address.cut();
  for (const [key, field] of [
    ['new', 'transfer'],
    ['before', 'transfer'],
    ['open', 'transferAgain'],
  ] as const) {
    expect(outcomeOf(await service.transfer(key, field))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  }
  expect([service.attempts('new'), service.attempts('open')]).toEqual([[], [1]]);
  address.retarget(primary.url);
  address.cut();
  await transferUntil(service, 'new', 'executed');
});

it('a failover in the middle of an attempt costs it nothing: it is renewed and completed on the new primary', async () => {
  const events = watchLeases();
  const gate = deferred();
  let signal: AbortSignal | undefined;
  service.resolveWith(async (call) => {
    signal = call.signal;
    await call.step('send', () => 1);
    await gate.promise;
    return done(call);
  });
  const reply = service.transfer('failover');
  await eventually(async () => (await onStandby.steps('failover')).length === 1);
  await primary.stop('immediate');
  address.retarget(standby.url);
  address.cut();
  const before = events.count('failover', 'renewal-failed');
  await eventually(() => events.count('failover', 'renewal-failed') > before);
  await onStandby.client.query('select pg_promote()');
  await eventually(() => events.of('failover').at(-1) === 'renewed');
  expect(signal!.aborted).toBe(false);
  gate.resolve();
  expect(outcomeOf(await reply)).toBe('executed');
  service.resolveWith();
  await expectOneOutcome(service, onStandby, 'failover');
  await transferUntil(service, 'open', 'executed', { field: 'transferAgain' });
  expect(service.attempts('open')).toEqual([1, 2]);
  events.close();
});
