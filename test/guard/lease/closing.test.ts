/** A store that closes leaves nobody at work on a lease, those who were just being granted one included. */

import pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { deferred, eventually, within } from '../../support/signal.ts';
import { raise, startLeases } from './leases.ts';
import type { Leases } from './leases.ts';

const settings = { drainTimeout: 0, lockTimeout: 4000, claimTimeout: 5000, commitTimeout: 6000 };
let operator: Leases;
beforeAll(async () => {
  operator = await startLeases();
});

/** Locks the record of a key, until it is called. */
async function lock(key: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: operator.url });
  await client.connect();
  await client.query('begin');
  await client.query('select from graphql_idempotency.record where identity = $1 for update', [
    operator.identity(key),
  ]);
  return () => client.end();
}

async function waiting(count: number): Promise<void> {
  await eventually(async () => {
    const { rows } = await operator.sql(
      `select count(*)::integer as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rows[0].n === count;
  });
}

test('a recovery that is granted its lease while others are given up does not keep the store from closing', async () => {
  operator.during = () => raise(new Error('crash'));
  await operator.call('refuse', 'abandoned');
  let asked = 0;
  const closing = await startLeases({
    beside: operator,
    ...settings,
    recoverInterval: 100,
    recover: {
      'Mutation.refuse': () => {
        asked += 1;
        return new Promise(() => {});
      },
    },
  });
  const unlockAbandoned = await lock('abandoned');
  const [started, never] = [deferred(), deferred()];
  closing.during = () => {
    started.resolve();
    return never.promise;
  };
  const answer = closing.call('rerun', 'running');
  await started.promise;
  await waiting(1);
  const unlockRunning = await lock('running');
  const closed = closing.idempotency.close();
  expect((await answer).code).toBe('IDEMPOTENCY_LEASE_LOST');
  await waiting(2);
  await unlockAbandoned();
  await waiting(1);
  await unlockRunning();
  await within(closed, { timeoutMs: 5000, what: 'the end of the store' });
  expect(asked).toBe(0);
});
