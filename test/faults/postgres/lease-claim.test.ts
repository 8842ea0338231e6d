/** A claim of lease mode without an answer: nothing runs, and it is given up, so that a retry soon executes. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lockOf } from '../../../src/store/postgres/statements.ts';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { eventually } from '../../support/signal.ts';
import {
  expectOneOutcome,
  identityOfKey,
  type LeaseService,
  messages,
  onAnswer,
  openRecords,
  outcomeOf,
  type Records,
  shortTimeouts,
  startLeaseService,
  transferUntil,
} from '../lease-case.ts';

let database: TestDatabase;
let proxy: PostgresProxy;
let service: LeaseService;
/** In another process, as far as Postgres can tell, and not behind the proxy. */
let other: LeaseService;
let records: Records;

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  proxy = await startPostgresProxy({ target: database.url });
  service = await startLeaseService({
    databaseUrl: database.url,
    options: { ...shortTimeouts, postgres: proxy.url },
  });
  other = await startLeaseService({ databaseUrl: database.url, options: shortTimeouts });
  records = await openRecords(database.url);
});

beforeEach(async () => {
  service.resolveWith();
  await service.transfer('warm');
});

afterEach(() => proxy.healAll());

afterAll(async () => {
  await service.stop();
  await other.stop();
  await records.close();
  await proxy.close();
  await database.drop();
});

// The lease lasts for longer than the test: whoever executes did not wait for its end.
describe('a claim whose answer is lost', () => {
  it.each(['cut-before', 'hold'] as const)('(%s) runs nothing, and a retry soon executes', async (loss) => {
    const key = `answer-${loss}`;
    const lost = onAnswer(proxy, messages.claim, loss);
    const reply = await service.transfer(key);
    expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
    expect(reply.body.errors[0].extensions.retryable).toBe(true);
    expect(service.attempts(key)).toEqual([]);
    await transferUntil(service, key, 'executed', { timeoutMs: 15_000 });
    lost.release();
    await expectOneOutcome(service, records, key);
    expect(service.attempts(key)).toEqual([1]);
  });

  it('is given up without a retry: nothing is left of it', async () => {
    onAnswer(proxy, messages.claim, 'cut-before');
    const released = proxy.on(messages.release, 'observe');
    expect(outcomeOf(await service.transfer('no-retry'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    await released.matched;
    await eventually(async () => (await records.of('no-retry')) === undefined);
  });

  it('is given up though that is not answered at first either', async () => {
    onAnswer(proxy, messages.claim, 'cut-before');
    proxy.on(messages.release, 'cut-before', 2);
    const third = proxy.on(messages.release, 'hold');
    expect(outcomeOf(await service.transfer('release-lost'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    await third.matched;
    expect(await records.of('release-lost')).toMatchObject({ state: 'pending' });
    third.release();
    await transferUntil(other, 'release-lost', 'executed', { timeoutMs: 15_000 });
  });
});

describe('a claim whose message is lost', () => {
  it('runs nothing, and the retry executes', async () => {
    proxy.on(messages.claim, 'cut-before');
    expect(outcomeOf(await service.transfer('message-lost'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    expect(outcomeOf(await service.transfer('message-lost'))).toBe('executed');
    expect(service.attempts('message-lost')).toEqual([1]);
  });

  it('and comes after the retry was executed changes nothing', async () => {
    const held = proxy.on(messages.claim, 'hold');
    expect(outcomeOf(await service.transfer('late'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    expect(outcomeOf(await service.transfer('late'))).toBe('executed');
    const late = proxy.on({ from: 'server' }, 'observe');
    held.release();
    await late.matched;
    await expectOneOutcome(service, records, 'late');
  });

  it('and comes before any retry is given up when it comes', async () => {
    const held = proxy.on(messages.claim, 'hold');
    const released = proxy.on(messages.release, 'observe');
    expect(outcomeOf(await service.transfer('late-alone'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    await released.matched;
    const late = proxy.on({ from: 'server' }, 'observe');
    held.release();
    await late.matched;
    await transferUntil(other, 'late-alone', 'executed', { timeoutMs: 15_000 });
    await expectOneOutcome(service, records, 'late-alone');
    expect(service.attempts('late-alone')).toEqual([]);
  });
});

describe('the connection of an unanswered claim', () => {
  it('is never used again: the next calls get their own answers', async () => {
    const held = onAnswer(proxy, messages.claim, 'hold');
    expect(outcomeOf(await service.transfer('poisoned'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    for (const key of ['after-1', 'after-2', 'after-3']) {
      const reply = await service.transfer(key);
      expect(reply.body.data.transfer).toBe(`${key} done in attempt 1`);
    }
    held.release();
    await transferUntil(service, 'poisoned', 'executed', { timeoutMs: 15_000 });
  });
});

describe('a record whose row another session holds', () => {
  it('replays all the same: a look at it neither waits nor writes', async () => {
    await service.transfer('held-row');
    await records.client.query('begin');
    await records.client.query('select from graphql_idempotency.record where identity = $1 for update', [
      identityOfKey('held-row'),
    ]);
    try {
      await expectOneOutcome(service, records, 'held-row');
    } finally {
      await records.client.query('rollback');
    }
    expect(service.attempts('held-row')).toEqual([1]);
  });

  it.each([
    ['a claim that has not committed', lockOf, 'IDEMPOTENCY_IN_PROGRESS'],
    // Of nobody who keeps to the rules.
    ['an insert without the lock', () => '0', 'IDEMPOTENCY_STORE_UNAVAILABLE'],
  ] as const)('by %s runs nothing, and answers in time', async (what, lock, code) => {
    const key = what.replaceAll(' ', '-');
    const { client } = records;
    await client.query('begin');
    await client.query(
      `select graphql_idempotency.claim_lease($1, $2, 7, 60000, 100, $1, '', 'Mutation.transfer', 1::smallint, $1, 1000000, 0)`,
      [identityOfKey(key), lock(identityOfKey(key))],
    );
    try {
      expect(outcomeOf(await service.transfer(key))).toBe(code);
    } finally {
      await client.query('rollback');
    }
    await transferUntil(service, key, 'executed', { timeoutMs: 15_000 });
    expect(service.attempts(key)).toEqual([1]);
  });
});

describe('a takeover whose answer is lost', () => {
  it('runs nothing; the outcome is left open at once, and a retry takes over', async () => {
    service.resolveWith(({ attempt, key }) => {
      if (attempt === 1) throw new Error('who knows');
      return `${key} done in attempt ${attempt}`;
    });
    expect(outcomeOf(await service.transfer('taken', 'transferAgain'))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    const lost = onAnswer(proxy, messages.takeOver, 'cut-before');
    expect(outcomeOf(await service.transfer('taken', 'transferAgain'))).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    await lost.matched;
    expect(service.attempts('taken')).toEqual([1]);
    const { body } = await transferUntil(service, 'taken', 'executed', {
      field: 'transferAgain',
      timeoutMs: 15_000,
    });
    const [, attempt] = service.attempts('taken') as [number, number];
    // The takeover had arrived, and counts.
    expect(attempt).toBe(3);
    expect(body.data.transfer).toBe(`taken done in attempt ${attempt}`);
    expect(service.attempts('taken')).toHaveLength(2);
    await expectOneOutcome(service, records, 'taken', { attempt, field: 'transferAgain' });
  });
});
