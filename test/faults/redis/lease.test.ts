/** Redis in front of lease mode: it may say what is done, and never who is at work. */

import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GraphQLError } from 'graphql';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import { startRedisProxy } from '../../support/redis-proxy.ts';
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
} from '../lease-case.ts';
import { startRedisCase, watchRedisEvents } from './redis-case.ts';
import type { RedisCase } from './redis-case.ts';

const events = watchRedisEvents();
let setting: RedisCase;
let records: Records;

beforeAll(async () => {
  setting = await startRedisCase();
  records = await openRecords(setting.databaseUrl);
  return () => records.close();
});

beforeEach(async () => {
  await setting.peek.flushall();
  events.clear();
});

async function withService(
  options: Partial<Parameters<typeof startLeaseService>[0]>,
  work: (service: LeaseService) => Promise<void>,
): Promise<void> {
  const service = await startLeaseService({
    databaseUrl: setting.databaseUrl,
    redis: setting.redis.url,
    ...options,
    options: { ...shortTimeouts, redisTimeout: 2000, redisConnectTimeout: 2000, ...options.options },
  });
  try {
    await work(service);
  } finally {
    await service.stop();
  }
}

describe('what Redis holds of lease mode', () => {
  test('is nothing while an attempt runs, fails, is released or leaves its outcome open; then the answer', async () => {
    await withService({}, async (service) => {
      const gate = deferred();
      service.resolveWith(async (call) => {
        if (call.key === 'opens') throw new Error('who knows');
        if (call.key === 'releases') {
          throw new GraphQLError('no', { extensions: { code: 'BAD_USER_INPUT' } });
        }
        await gate.promise;
        return done(call);
      });
      const reply = service.transfer('runs');
      await eventually(() => service.attempts('runs').length === 1);
      expect((await service.transfer('opens')).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
      expect((await service.transfer('opens')).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
      expect((await service.transfer('releases')).code).toBe('BAD_USER_INPUT');
      expect((await service.transfer('runs')).code).toBe('IDEMPOTENCY_IN_PROGRESS');
      expect(await setting.entries()).toEqual([]);
      expect(events.names).not.toContain('written');
      gate.resolve();
      expect(outcomeOf(await reply)).toBe('executed');
      await setting.written(1);
      expect(await service.transfer('runs')).toMatchObject({ status: 200 });
      expect(events.lookups.at(-1)).toBe('hit');
    });
  });

  test('is not what decides: a lost or changed entry is answered from Postgres', async () => {
    await withService({}, async (service) => {
      await service.transfer('changed');
      const [name] = await setting.written(1);
      await setting.peek.set(name!, 'garbage', 'KEEPTTL');
      await expectOneOutcome(service, records, 'changed');
      expect(events.lookups).toContain('unreadable');
      await setting.peek.flushall();
      await expectOneOutcome(service, records, 'changed');
      expect(service.attempts('changed')).toEqual([1]);
    });
  });
});

describe.each(['absent', 'frozen', 'gone in the middle'] as const)('a Redis that is %s', (fault) => {
  test('changes no answer of lease mode', async () => {
    const proxy = await startRedisProxy({ target: setting.redis.url });
    if (fault === 'absent') await proxy.refuse();
    await withService({ redis: proxy.url, options: { redisTimeout: 50 } }, async (service) => {
      const key = `redis-${fault.replaceAll(' ', '-')}`;
      service.resolveWith(async (call) => {
        if (fault === 'gone in the middle') {
          await proxy.refuse();
          proxy.cut();
        }
        return done(call);
      });
      if (fault === 'frozen') proxy.blackhole();
      expect(outcomeOf(await service.transfer(key))).toBe('executed');
      await expectOneOutcome(service, records, key);
      service.resolveWith(() => {
        throw new Error('who knows');
      });
      expect((await service.transfer(`${key}-opens`)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
      expect((await service.transfer(`${key}-opens`)).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
      expect(service.attempts(`${key}-opens`)).toEqual([1]);
      await proxy.healAll();
    });
    await proxy.close();
  });
});

test('with Postgres down, completed keys replay from Redis, and nothing new runs', async () => {
  const postgres = await startPostgresProxy({ target: setting.databaseUrl });
  await withService({ options: { postgres: postgres.url } }, async (service) => {
    await service.transfer('completed');
    await setting.written(1);
    await postgres.refuse();
    postgres.cut();
    const replayed = await service.transfer('completed');
    expect(outcomeOf(replayed)).toBe('replayed');
    expect(replayed.body.data.transfer).toBe(done({ key: 'completed', attempt: 1 }));
    expect(outcomeOf(await service.transfer('new'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    expect(service.attempts('new')).toEqual([]);
    await postgres.healAll();
  });
  await postgres.close();
});

test('200 simultaneous retries of a completed key on an empty Redis are one read of Postgres', async () => {
  const postgres = await startPostgresProxy({ target: setting.databaseUrl });
  // So many at once keep one process busy.
  await withService({ options: { postgres: postgres.url, claimTimeout: 10_000 } }, async (service) => {
    await service.transfer('stampede');
    await setting.written(1);
    await setting.peek.flushall();
    postgres.reset();
    const query = 'mutation ($note: String!) { transfer(note: $note) @idempotent(key: $note) }';
    const entry = { query, variables: { note: 'stampede' } };
    const { body } = await service.post(Array.from({ length: 200 }, () => entry));
    const outcomes = (body as Awaited<ReturnType<LeaseService['transfer']>>['body'][]).map(
      ({ extensions }) => extensions?.idempotency?.transfer?.outcome,
    );
    expect(outcomes).toEqual(Array.from({ length: 200 }, () => 'replayed'));
    expect(postgres.counts().roundTrips).toBe(1);
    expect(service.attempts('stampede')).toEqual([1]);
  });
  await postgres.close();
});
