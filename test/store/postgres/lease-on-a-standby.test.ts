/** A standby, which may be behind, grants no lease and takes none over. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from 'graphql-idempotency/migrate';
import { startPostgres } from '../../support/postgres-server.ts';
import type { PostgresServer } from '../../support/postgres-server.ts';
import { eventually } from '../../support/signal.ts';
import { connect, refusalOf } from './connection.ts';
import { newIdentity } from './functions.ts';
import {
  LEASE_MS,
  age,
  claimLease,
  completeLease,
  newFence,
  read,
  renew,
  takeOver,
  termsOf,
} from './lease-sql.ts';

let primary: PostgresServer;
let standby: PostgresServer;
beforeAll(async () => {
  primary = await startPostgres();
  await migrate({ connectionString: primary.url });
  standby = await primary.startStandby();
});
afterAll(async () => {
  await standby.remove();
  await primary.remove();
});

/** As a statement that writes, and as a transaction that could, are refused there. */
const READ_ONLY = /^(?:25006|0A000)$/;

test('whatever is sent to a standby is refused, and writes nothing', async () => {
  const writer = await connect(primary.url);
  const reader = await connect(standby.url);
  const [identity, done] = [newIdentity(), newIdentity()];
  const fence = newFence();
  await claimLease(writer, fence, termsOf(done));
  await completeLease(writer, { identity: done, fence });
  await claimLease(writer, fence, termsOf(identity));
  await age(writer, identity, LEASE_MS);
  const { row: before } = await read(writer, identity);
  await eventually(async () => (await read(reader, identity)).row !== undefined);
  for (const write of [
    () => claimLease(reader, newFence(), termsOf(newIdentity())),
    // What is there may be old: a claim that finds something is refused too.
    () => claimLease(reader, newFence(), termsOf(done)),
    () => claimLease(reader, newFence(), termsOf(identity)),
    () => takeOver(reader, newFence(), { identity, seen: fence }),
    () => renew(reader, { identity, fence }),
  ]) {
    expect((await refusalOf(write())).code).toMatch(READ_ONLY);
    await reader.query('rollback');
  }
  expect((await read(writer, identity)).row).toEqual(before);
});
