/** The sweeper takes what is due, all of it, and nothing else. */

import { channel } from 'node:diagnostics_channel';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { IdempotencyMessage } from 'graphql-idempotency';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import type { Service } from '../support/service.ts';
import { eventually } from '../support/signal.ts';
import { startSweepCase } from './sweep-case.ts';
import type { SweepCase } from './sweep-case.ts';

let setting: SweepCase;
let service: Service;

beforeAll(async () => {
  setting = await startSweepCase();
  service = await setting.start({ options: { sweepBatchSize: 10 } });
});
beforeEach(() => setting.sql.query('truncate graphql_idempotency.record cascade'));

describe('a sweep', () => {
  test('strips bodies after the expiry, deletes rows after the takeover, and leaves the rest', async () => {
    await setting.seed({ count: 1, prefix: 'fresh', expires: '1 hour' });
    await setting.seed({ count: 1, prefix: 'barely-fresh', expires: '20 seconds', tombstone: '1 hour' });
    await setting.seed({ count: 1, prefix: 'expired', expires: '-1 second', tombstone: '1 hour' });
    await setting.seed({ count: 1, prefix: 'gone', expires: '-2 hours', tombstone: '1 hour' });
    await setting.seed({ count: 1, prefix: 'gone-at-once', expires: '-1 second' });
    expect(await service.idempotency.sweep()).toEqual({ stripped: 1, deleted: 2 });
    expect(await setting.records()).toEqual([
      { name: 'barely-fresh1', state: 'completed', hasBody: true },
      { name: 'expired1', state: 'completed', hasBody: false },
      { name: 'fresh1', state: 'completed', hasBody: true },
    ]);
    expect(await service.idempotency.sweep()).toEqual({ stripped: 0, deleted: 0 });
  });

  test('deletes a stripped row when its time has come', async () => {
    await setting.seed({ count: 1, prefix: 'a', expires: '-1 second', tombstone: '1 hour' });
    expect(await service.idempotency.sweep()).toEqual({ stripped: 1, deleted: 0 });
    await setting.age('59 minutes');
    expect(await service.idempotency.sweep()).toEqual({ stripped: 0, deleted: 0 });
    await setting.age('2 minutes');
    expect(await service.idempotency.sweep()).toEqual({ stripped: 0, deleted: 1 });
    expect(await setting.records()).toEqual([]);
  });

  test('goes on until nothing is due, whatever the size of a batch', async () => {
    await setting.seed({ count: 35, prefix: 'tombstone', expires: '-1 second', tombstone: '1 hour' });
    await setting.seed({ count: 50, prefix: 'gone', expires: '-1 second' });
    expect(await service.idempotency.sweep()).toEqual({ stripped: 35, deleted: 50 });
  });

  test('never touches what is pending or unknown, however old', async () => {
    const columns = 'mode, state, fence, fingerprint_version, identity, scope_hash, fingerprint, coordinate';
    const hashes = `sha256('s'), sha256('f')`;
    const longAgo = `clock_timestamp() - interval '10 years'`;
    await setting.sql.query(
      `insert into graphql_idempotency.record (${columns}, ttl_ms, tombstone_ttl_ms, lease_until, abandoned_at) values
        ('lease', 'pending', 1, 1, sha256('p'), ${hashes}, 'pending', 1, 0, ${longAgo}, null),
        ('lease', 'unknown', 1, 1, sha256('u'), ${hashes}, 'unknown', 1, 0, ${longAgo}, ${longAgo})`,
    );
    expect(await service.idempotency.sweep()).toEqual({ stripped: 0, deleted: 0 });
    expect((await setting.records()).map(({ name }) => name)).toEqual(['pending', 'unknown']);
  });

  test('finds what is due through its index, not by reading every record', async () => {
    await setting.seed({ count: 5000, prefix: 'fresh', expires: '1 hour' });
    await setting.seed({ count: 5, prefix: 'gone', expires: '-1 second' });
    await setting.sql.query('analyze graphql_idempotency.record');
    const { rows } = await setting.sql.query<{ 'QUERY PLAN': string }>(
      `explain select identity from graphql_idempotency.record as r
        where r.sweep_after < (select clock_timestamp()) and r.takeover_after <= (select clock_timestamp())
        order by r.sweep_after limit 10 for update skip locked`,
    );
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('record_sweep_after_idx');
    expect(await service.idempotency.sweep()).toEqual({ stripped: 0, deleted: 5 });
  });

  test('says how much it did', async () => {
    const swept: IdempotencyMessage[] = [];
    const listen = (message: unknown): void => {
      if ((message as IdempotencyMessage).type === 'swept') swept.push(message as IdempotencyMessage);
    };
    channel('graphql-idempotency').subscribe(listen);
    await setting.seed({ count: 12, prefix: 'gone', expires: '-1 second' });
    await service.idempotency.sweep();
    channel('graphql-idempotency').unsubscribe(listen);
    expect(swept).toEqual([{ type: 'swept', stripped: 0, deleted: 12 }]);
  });
});

describe('the interval', () => {
  test('sweeps by itself, again and again', async () => {
    const sweeping = await setting.start({ options: { sweepInterval: 20, sweepBatchSize: 2 } });
    for (const prefix of ['one', 'two']) {
      await setting.seed({ count: 7, prefix, expires: '-1 second' });
      await eventually(async () => (await setting.records()).length === 0, {
        what: `the sweep of ${prefix}`,
      });
    }
    // Or it would do the work of the next ones.
    await sweeping.server.stop();
  });

  test('goes on after a sweep that failed, and says that it failed', async () => {
    const proxy = await startPostgresProxy({ target: setting.databaseUrl });
    const sweeping = await setting.start({
      options: { postgres: proxy.url, sweepInterval: 20, acquireTimeout: 2000 },
    });
    await proxy.refuse();
    proxy.cut();
    const warned = (): boolean => sweeping.log.some(({ message }) => /Sweeping .* failed/.test(message));
    await eventually(warned, { what: 'the warning' });
    await proxy.healAll();
    await setting.seed({ count: 3, prefix: 'late', expires: '-1 second' });
    await eventually(async () => (await setting.records()).length === 0, { what: 'the next sweep' });
    await sweeping.server.stop();
    await proxy.close();
  });

  test('ends with the server, and waits for the sweep that is under way', async () => {
    const proxy = await startPostgresProxy({ target: setting.databaseUrl });
    const sweeping = await setting.start({ options: { postgres: proxy.url, sweepInterval: 20 } });
    await setting.seed({ count: 3, prefix: 'due', expires: '-1 second' });
    const held = proxy.on({ from: 'client', sql: /^\s*with due[\s\S]*delete/ }, 'hold');
    await held.matched;
    const stopped = sweeping.server.stop();
    held.release();
    await stopped;
    expect(sweeping.log.filter(({ level }) => level !== 'info')).toEqual([]);
    proxy.reset();
    await setting.seed({ count: 1, prefix: 'later', expires: '-1 second' });
    // The pools are closed: whoever swept now would have to connect.
    expect(proxy.counts()).toMatchObject({ connections: 0, statements: [] });
    await proxy.close();
  });
});
