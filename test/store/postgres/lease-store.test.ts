/** The store in lease mode: what a takeover hands over, and what a holder is told whose lease is another's. */

import type { Client } from 'pg';
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import type { Fence, PendingRecord } from '../../../src/record/record.ts';
import type { HeldLease } from '../../../src/store/lease-port.ts';
import { Ambient } from '../../../src/store/postgres/ambient/ambient.ts';
import { postgresStore } from '../../../src/store/postgres/postgres-store.ts';
import type { PostgresStore } from '../../../src/store/postgres/postgres-store.ts';
import { createDatabase } from '../../support/database.ts';
import { eventually } from '../../support/signal.ts';
import { connect } from './connection.ts';
import { newIdentity } from './functions.ts';
import { LEASE_MS, RESULT, age, read, recordStep, stepNamed, termsOf } from './lease-sql.ts';

let url: string;
let store: PostgresStore;
let closed: Promise<void> | undefined;
let client: Client;
let identity: Buffer;
let lease: HeldLease;
let fence: Fence;
beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});
beforeEach(async () => {
  store = postgresStore({
    ambient: new Ambient(),
    source: { config: { connectionString: url }, single: false },
    settings: {
      schema: 'graphql_idempotency',
      namespace: '',
      poolSize: 3,
      reservedPoolSize: 2,
      poolQueueSize: 10,
      acquireTimeout: 5000,
      claimTimeout: 5000,
      transactionTimeout: 10_000,
      commitTimeout: 5000,
      probeTimeout: 5000,
      lockTimeout: 4000,
      preparedStatements: true,
      outboxNotify: false,
      inboxTtl: 604_800_000,
    },
    connectionCheckMs: 0,
    serverTimeouts: true,
    onClock: () => undefined,
    onInspection: () => undefined,
  });
  closed = undefined;
  onTestFinished(close);
  client = await connect(url);
  identity = newIdentity();
  lease = (await store.claimLease(termsOf(identity))).lease!;
  fence = ((await read(client, identity)).row!.record as PendingRecord).fence;
});

/** A store is closed once. */
function close(): Promise<void> {
  return (closed ??= store.close());
}

function takeOver(): Promise<HeldLease | undefined> {
  return store.takeOver({ identity, seen: fence, leaseMs: LEASE_MS, rerun: true });
}

async function somebodyWaits(): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rowCount === 1;
}

test('a takeover that waits for a step’s commit hands the step over', async () => {
  await lease.recordStep(stepNamed('first'));
  await age(client, identity, LEASE_MS);
  await client.query('begin');
  await recordStep(client, { identity, fence }, 'second');
  const taking = takeOver();
  await eventually(somebodyWaits);
  await client.query('commit');
  const taken = await taking;
  expect(taken).toMatchObject({ attempt: 2, coordinate: 'Mutation.wire' });
  expect(taken!.steps).toEqual([stepNamed('first'), stepNamed('second')]);
});

test('the old holder is told that it has lost the lease, whatever it writes', async () => {
  await age(client, identity, LEASE_MS);
  const taken = await takeOver();
  expect(await lease.renew(1000)).toBe('lost');
  expect(await lease.recordStep(stepNamed('late'))).toBe('lost');
  expect(await lease.complete(RESULT)).toEqual({ kind: 'lost' });
  expect(await lease.release(true)).toBe('lost');
  expect(await lease.abandon()).toBe('lost');
  expect((await read(client, identity)).row).toMatchObject({ record: { state: 'pending', attempt: 2 } });
  expect(await taken!.complete(RESULT)).toMatchObject({ kind: 'completed' });
});

test('what a completion says it recorded is what a later claim finds', async () => {
  const completion = await lease.complete(RESULT);
  const { lease: refused, record } = await store.claimLease(termsOf(identity));
  expect(refused).toBeUndefined();
  expect(completion).toMatchObject({ kind: 'completed', record });
});

test('what a closing store still holds is unknown at once, with its journal', async () => {
  await lease.recordStep(stepNamed('first'));
  await close();
  expect((await read(client, identity)).row).toMatchObject({
    record: { state: 'unknown', attempt: 1 },
    steps: [{ name: 'first' }],
  });
});
