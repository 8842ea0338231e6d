/** The SQL function `complete`, the record statement: it writes the one row of an identity, or it raises. */

import type { Client } from 'pg';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import { eventually } from '../../support/signal.ts';
import { connect, refusalOf } from './connection.ts';
import {
  TOKEN,
  claim,
  claimedTransaction,
  complete,
  completed,
  isWaiting,
  newIdentity,
} from './functions.ts';

let url: string;
let one: Client;
let two: Client;
let identity: Buffer;
beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});
beforeEach(async () => {
  identity = newIdentity();
  [one, two] = [await connect(url), await connect(url)];
});

async function rowOf(client: Client): Promise<Record<string, unknown> | undefined> {
  return (await client.query('select * from graphql_idempotency.record where identity = $1', [identity]))
    .rows[0];
}

/** Moves the record's times into the past, as if so much time had passed. */
async function age(interval: string): Promise<void> {
  await one.query(
    `update graphql_idempotency.record set completed_at = completed_at - $2::interval,
      expires_at = expires_at - $2::interval, takeover_after = takeover_after - $2::interval where identity = $1`,
    [identity, interval],
  );
}

test('it writes one completed row, whose clocks run from completion', async () => {
  const completedMs = await completed(one, identity, {
    ttlMs: 60_000,
    tombstoneMs: 30_000,
    body: Buffer.from('x'),
  });
  const { rows } = await one.query(
    `select abs(extract(epoch from completed_at) * 1000 - $2::float8) < 0.01 as returned, expires_at - completed_at = interval '60 s' as ttl,
      takeover_after - expires_at = interval '30 s' as tombstone, sweep_after = expires_at as due,
      completed_at between clock_timestamp() - interval '5 s' and clock_timestamp() as now
    from graphql_idempotency.record where identity = $1`,
    [identity, completedMs],
  );
  expect(rows).toEqual([{ returned: true, ttl: true, tombstone: true, due: true, now: true }]);
  expect(await rowOf(one)).toMatchObject({
    mode: 'transaction',
    state: 'completed',
    outcome: 'result',
    attempt: 1,
    fence: null,
    lease_until: null,
    encryption_key_id: null,
    coordinate: 'M.f',
    body: Buffer.from('x'),
  });
});

describe('it raises GI002, and writes nothing,', () => {
  const ended: Record<string, (client: Client) => Promise<unknown>> = {
    'without a claim': (client) => client.query('begin'),
    'outside of a transaction': async () => undefined,
    'after somebody’s COMMIT': async (client) => {
      await claimedTransaction(client, identity);
      await client.query('commit');
    },
    'after somebody’s ROLLBACK': async (client) => {
      await claimedTransaction(client, identity);
      await client.query('rollback');
    },
    'in the next transaction of the same connection': async (client) => {
      await claimedTransaction(client, identity);
      await client.query('commit; begin');
    },
    'after COMMIT AND CHAIN': async (client) => {
      await claimedTransaction(client, identity);
      await client.query('commit and chain');
    },
    'in the transaction of another attempt': (client) =>
      claimedTransaction(client, identity, { token: 'another' }),
    'where the resolver has overwritten the marker': async (client) => {
      await claimedTransaction(client, identity);
      await client.query(`set local idempotency.attempt = 'mine'`);
    },
  };
  test.each(Object.entries(ended))('%s', async (_, prepare) => {
    await prepare(one);
    expect((await refusalOf(complete(one, identity))).code).toBe('GI002');
    await one.query('rollback');
    expect(await rowOf(one)).toBeUndefined();
  });
});

describe('it raises GI001, and the row stays as it is, where the identity has', () => {
  const rows = {
    'a record that replays': '',
    'an expired record whose tombstone still stands': `update graphql_idempotency.record set expires_at = clock_timestamp() - interval '1 hour'`,
    'a live lease': `update graphql_idempotency.record set mode = 'lease', fence = 1, state = 'pending', outcome = null, completed_at = null,
      expires_at = null, takeover_after = null, sweep_after = null, codec_version = null, body = null,
      ttl_ms = 1, tombstone_ttl_ms = 1, lease_until = clock_timestamp() + interval '1 hour'`,
    'an abandoned lease': `update graphql_idempotency.record set mode = 'lease', fence = 1, state = 'pending', outcome = null, completed_at = null,
      expires_at = null, takeover_after = null, sweep_after = null, codec_version = null, body = null,
      ttl_ms = 1, tombstone_ttl_ms = 1, lease_until = clock_timestamp() - interval '1 hour'`,
    'an unknown outcome': `update graphql_idempotency.record set mode = 'lease', fence = 1, state = 'unknown', outcome = null, completed_at = null,
      expires_at = null, takeover_after = null, sweep_after = null, codec_version = null, body = null,
      ttl_ms = 1, tombstone_ttl_ms = 1, lease_until = clock_timestamp(), abandoned_at = clock_timestamp()`,
  };
  test.each(Object.entries(rows))('%s', async (_, change) => {
    await completed(one, identity, { tombstoneMs: 3_600_000 });
    if (change !== '') await one.query(`${change} where identity = $1`, [identity]);
    const before = await rowOf(one);
    await claimedTransaction(two, identity);
    expect((await refusalOf(complete(two, identity, { body: Buffer.from('second') }))).code).toBe('GI001');
    await two.query('rollback');
    expect(await rowOf(one)).toEqual(before);
  });
});

describe('takeover', () => {
  test('an expired row is replaced whole, from takeover_after on and not before', async () => {
    await completed(one, identity, { ttlMs: 60_000, tombstoneMs: 60_000 });
    await one.query(
      `update graphql_idempotency.record set mode = 'lease', fence = 5, attempt = 3, lease_until = clock_timestamp(),
        encryption_key_id = 'k' where identity = $1`,
      [identity],
    );
    await age('119 seconds');
    await claimedTransaction(two, identity);
    expect((await refusalOf(complete(two, identity))).code).toBe('GI001');
    await two.query('rollback');

    await age('2 seconds');
    await completed(two, identity, { body: Buffer.from('second'), coordinate: 'M.g' });
    expect(await rowOf(one)).toMatchObject({
      mode: 'transaction',
      fence: null,
      attempt: 1,
      lease_until: null,
      encryption_key_id: null,
      body: Buffer.from('second'),
      coordinate: 'M.g',
    });
    const { rows } = await one.query(
      'select expires_at > clock_timestamp() as fresh, sweep_after = expires_at as due from graphql_idempotency.record where identity = $1',
      [identity],
    );
    expect(rows).toEqual([{ fresh: true, due: true }]);
  });

  test('of two that take the same row over, one raises', async () => {
    await completed(one, identity);
    await age('1 hour');
    await claimedTransaction(one, identity);
    await claimedTransaction(two, identity);
    await complete(one, identity, { body: Buffer.from('one') });
    const second = refusalOf(complete(two, identity, { body: Buffer.from('two') }));
    await one.query('commit');
    expect((await second).code).toBe('GI001');
    await two.query('rollback');
    expect(await rowOf(one)).toMatchObject({ body: Buffer.from('one') });
  });
});

describe('against a transaction that has inserted and not ended', () => {
  async function waitingInsert(lockTimeoutMs?: number): Promise<{ done: Promise<unknown> }> {
    const observer = await connect(url);
    await claimedTransaction(one, identity);
    await complete(one, identity, { body: Buffer.from('one') });
    await claimedTransaction(two, identity);
    const body = Buffer.from('two');
    const done = complete(two, identity, lockTimeoutMs === undefined ? { body } : { body, lockTimeoutMs });
    done.catch(() => undefined);
    if (lockTimeoutMs === undefined) await eventually(() => isWaiting(observer, two));
    return { done };
  }

  test('it waits, and raises when the other commits', async () => {
    const { done } = await waitingInsert();
    await one.query('commit');
    expect((await refusalOf(done)).code).toBe('GI001');
  });

  test('it waits, and wins when the other rolls back', async () => {
    const { done } = await waitingInsert();
    await one.query('rollback');
    await done;
    await two.query('commit');
    expect(await rowOf(one)).toMatchObject({ body: Buffer.from('two') });
  });

  test('it waits no longer than lock_timeout', async () => {
    const { done } = await waitingInsert(20);
    expect((await refusalOf(done)).code).toBe('55P03');
  });
});

test('a COMMIT behind a record statement that raises commits nothing', async () => {
  await completed(one, identity);
  await one.query('create table if not exists effect (id integer)');
  await claimedTransaction(two, identity);
  await two.query('insert into effect values (1)');
  expect((await refusalOf(complete(two, identity))).code).toBe('GI001');
  expect((await two.query('commit')).command).toBe('ROLLBACK');
  expect((await one.query('select from effect')).rowCount).toBe(0);
});

test('a role without privileges, set by a resolver, cannot write the record; the claim’s own role can', async () => {
  const { rows } = await one.query(`select 'nobody_' || substr(md5(random()::text), 1, 8) as role`);
  const { role } = rows[0];
  await one.query(`create role ${role}`);
  try {
    const claimed = await claimedTransaction(one, identity);
    await one.query(`savepoint before; set local role ${role}`);
    expect((await refusalOf(complete(one, identity))).code).toBe('42501');
    await one.query('rollback to before');
    await one.query(`set local role ${role}`);
    await one.query(`select set_config('role', $1, true)`, [claimed['claim_role']]);
    await complete(one, identity);
    await one.query('commit');
  } finally {
    await one.query('rollback');
    await one.query(`drop role ${role}`);
  }
  expect(await rowOf(one)).toMatchObject({ state: 'completed' });
});

test('SERIALIZABLE and REPEATABLE READ sessions are told by an error, never by a second effect', async () => {
  for (const level of ['repeatable read', 'serializable']) {
    identity = newIdentity();
    await two.query(`begin isolation level ${level}`);
    await two.query('select 1');
    await completed(one, identity);
    // The claim's snapshot may be too old to see the row; the insert is not fooled.
    await claim(two, identity, { token: TOKEN });
    expect((await refusalOf(complete(two, identity))).code).toMatch(/^(?:40001|GI001)$/);
    await two.query('rollback');
  }
});
