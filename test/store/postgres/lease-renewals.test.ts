/** What renewals cost the table: no index is touched, so that they leave nothing behind but old versions of a row. */

import type { Client } from 'pg';
import { expect, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import { eventually } from '../../support/signal.ts';
import { connect } from './connection.ts';
import { newIdentity } from './functions.ts';
import { claimLease, newFence, recordStep, renew, termsOf } from './lease-sql.ts';

const RENEWALS = 50;

async function updates(client: Client): Promise<{ readonly all: number; readonly hot: number }> {
  const { rows } = await client.query(
    `select n_tup_upd::integer as all, n_tup_hot_upd::integer as hot
      from pg_stat_user_tables where schemaname = 'graphql_idempotency' and relname = 'record'`,
  );
  return rows[0];
}

test('every renewal is heap-only', async () => {
  const client = await connect((await createDatabase({ migrated: true })).url);
  const holder = { identity: newIdentity(), fence: newFence() };
  await claimLease(client, holder.fence, termsOf(holder.identity));
  await recordStep(client, holder, 'paid');
  for (let count = 0; count < RENEWALS; count += 1) expect(await renew(client, holder)).toBe(true);
  const counted = await eventually(async () => {
    await client.query('select pg_stat_force_next_flush()');
    const counts = await updates(client);
    return counts.all >= RENEWALS && counts;
  });
  expect(counted.all).toBe(RENEWALS);
  // A page that old versions fill up, because autovacuum has a snapshot just then, is left for another once. Were an
  // index touched, none would be heap-only.
  expect(counted.hot).toBeGreaterThan(RENEWALS - 5);
});
