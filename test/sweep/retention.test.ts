/** How long a record replays, how long its key stays taken, and what happens to the key after that. */

import { createIdempotency } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { redisPrefix, redisUrl } from '../support/database.ts';
import type { Reply, Service } from '../support/service.ts';
import { startService } from '../support/service.ts';
import { startSweepCase } from './sweep-case.ts';
import type { SweepCase } from './sweep-case.ts';

let setting: SweepCase;
beforeAll(async () => {
  setting = await startSweepCase();
});
beforeEach(() => setting.sql.query('truncate graphql_idempotency.record cascade'));

async function retention(): Promise<{ ttl: number; tombstone: number; age: number }> {
  const { rows } = await setting.sql.query(
    `select extract(epoch from expires_at - completed_at)::float8 as ttl,
      extract(epoch from takeover_after - expires_at)::float8 as tombstone,
      extract(epoch from clock_timestamp() - completed_at)::float8 as age
    from graphql_idempotency.record`,
  );
  expect(rows).toHaveLength(1);
  return rows[0];
}

describe('the times of a record', () => {
  test.each<[string, object, number, number]>([
    ['by default: a day, and no tombstone', {}, 86_400, 0],
    ['in milliseconds', { ttl: 90_000, tombstoneTtl: 1500 }, 90, 1.5],
    ['as ISO 8601', { ttl: 'PT2H30M', tombstoneTtl: 'P7D' }, 9000, 604_800],
    ['of years', { ttl: 'P520W' }, 314_496_000, 0],
  ])('%s', async (_, options, ttl, tombstone) => {
    const service = await setting.start({ options });
    await service.send({ key: 'k' });
    const times = await retention();
    expect(times.ttl).toBeCloseTo(ttl, 3);
    expect(times.tombstone).toBeCloseTo(tombstone, 3);
    // Counted from completion, by Postgres's clock.
    expect(times.age).toBeGreaterThanOrEqual(0);
    expect(times.age).toBeLessThan(20);
  });

  test("a field's own ttl wins over the configuration's", async () => {
    const service = await setting.start({
      options: { ttl: 'PT1H', tombstoneTtl: 'PT1M' },
      typeDefs: 'extend type Mutation { brief: String! @idempotent(ttl: "PT31S") }',
      resolvers: () => ({ Mutation: { brief: () => 'x' } }),
    });
    await service.send({ key: 'k', query: 'mutation { brief }' });
    expect(await retention()).toMatchObject({ ttl: 31, tombstone: 60 });
  });

  test('a ttl that the transaction may outlive stops the server, in the options and on a field', async () => {
    expect(() => createIdempotency({ scope: () => 'x', ttl: 1000, transactionTimeout: 1000 })).toThrow(
      /`ttl` \(1000 ms\) must be longer than `transactionTimeout`/,
    );
    await expect(
      startService({
        databaseUrl: setting.databaseUrl,
        typeDefs: 'extend type Mutation { brief: String! @idempotent(ttl: "PT30S") }',
      }),
    ).rejects.toThrow(/Mutation\.brief/);
  });
});

describe.each(['Postgres alone', 'Redis in front'])('with %s', (tiers) => {
  const tier = (): { redis?: string; prefix: object } =>
    tiers === 'Postgres alone'
      ? { prefix: {} }
      : { redis: redisUrl(), prefix: { redisPrefix: redisPrefix() } };
  let service: Service;
  let withTombstone: Service;
  beforeAll(async () => {
    const { redis, prefix } = tier();
    const shared = redis === undefined ? {} : { redis };
    // A Redis that has the entry would go on replaying it: only rows are moved here, so each has its own.
    service = await setting.start({ ...shared, options: prefix });
    withTombstone = await setting.start({ ...shared, options: { ...tier().prefix, tombstoneTtl: 'PT1H' } });
  });

  /** What another process, whose Redis has not the entry, would be told. */
  const elsewhere = async (tombstoneTtl = 'PT0S'): Promise<Service> => {
    const { redis, prefix } = tier();
    return setting.start({ ...(redis === undefined ? {} : { redis }), options: { ...prefix, tombstoneTtl } });
  };

  test('a record replays until it expires', async () => {
    const first = await service.send({ key: 'k' });
    await setting.age('23 hours 59 minutes');
    const again = await (await elsewhere()).send({ key: 'k' });
    expect(again.body.data).toEqual(first.body.data);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });

  test('without a tombstone the key is new when the record has expired, swept or not', async () => {
    const first = await service.send({ key: 'k' });
    await setting.age('25 hours');
    const fresh = await elsewhere();
    const second = await fresh.send({ key: 'k', variables: { amount: 5 } });
    expect(second.body.data.pay.amount).toBe(5);
    expect(second.body.extensions.idempotency.pay.outcome).toBe('executed');
    expect(await service.records()).toBe(1);
    expect(await retention()).toMatchObject({ ttl: 86_400 });
    const replay = await fresh.send({ key: 'k', variables: { amount: 5 } });
    expect(replay.body.data).toEqual(second.body.data);

    await setting.age('25 hours');
    await fresh.idempotency.sweep();
    expect(await service.records()).toBe(0);
    const third = await (await elsewhere()).send({ key: 'k' });
    expect(third.body.extensions.idempotency.pay.outcome).toBe('executed');
    expect(new Set([first, second, third].map(({ body }) => body.data.pay.id)).size).toBe(3);
  });

  test('with a tombstone the key is KEY_EXPIRED until it may be taken over, swept or not', async () => {
    const expired = (reply: Reply): void => {
      expect([reply.status, reply.code]).toEqual([410, 'IDEMPOTENCY_KEY_EXPIRED']);
      expect(reply.body.errors[0].extensions.retryable).toBe(false);
      expect(reply.body.data).toBeUndefined();
      expect(reply.headers.get('retry-after')).toBeNull();
    };
    const first = await withTombstone.send({ key: 'k' });
    const payments = await service.payments();
    await setting.age('24 hours 1 minute');
    const other = await elsewhere('PT1H');
    expired(await other.send({ key: 'k' }));
    expired(await other.send({ key: 'k', variables: { amount: 1 } }));
    expect(await other.idempotency.sweep()).toEqual({ stripped: 1, deleted: 0 });
    expired(await other.send({ key: 'k' }));
    // Which tombstone the configuration asks for now makes no difference to a record that is there.
    expired(await (await elsewhere()).send({ key: 'k' }));
    expect(other.runs()).toBe(0);
    expect(await service.payments()).toEqual(payments);

    await setting.age('1 hour');
    const second = await other.send({ key: 'k' });
    expect(second.body.data.pay.id).not.toBe(first.body.data.pay.id);
    expect(await retention()).toMatchObject({ ttl: 86_400, tombstone: 3600 });
  });
});
