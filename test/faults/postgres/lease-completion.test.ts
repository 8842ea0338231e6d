/** A completion of lease mode without an answer: it is sent again, and recorded once, or its outcome is unknown. */

import { GraphQLError } from 'graphql';
import { FinalError } from 'graphql-idempotency';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PostgresProxy, startPostgresProxy } from '../../support/postgres-proxy.ts';
import { deferred } from '../../support/signal.ts';
import {
  done,
  expectOneOutcome,
  identityOfKey,
  type LeaseService,
  lose,
  losses,
  messages,
  onAnswer,
  openRecords,
  outcomeOf,
  type Records,
  shortLease,
  shortTimeouts,
  startLeaseService,
  transferUntil,
} from '../lease-case.ts';

let database: TestDatabase;
let proxy: PostgresProxy;
let service: LeaseService;
/** Gives up soon, with a lease that lapses soon. */
let impatient: LeaseService;
let records: Records;

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  proxy = await startPostgresProxy({ target: database.url });
  service = await startLeaseService({
    databaseUrl: database.url,
    options: { ...shortTimeouts, postgres: proxy.url },
  });
  impatient = await startLeaseService({
    databaseUrl: database.url,
    options: { ...shortLease, postgres: proxy.url, probeTimeout: 600 },
  });
  records = await openRecords(database.url);
});

beforeEach(async () => {
  service.resolveWith();
  impatient.resolveWith();
  await service.transfer('warm');
  await impatient.transfer('warm');
});

afterEach(() => proxy.healAll());

afterAll(async () => {
  await service.stop();
  await impatient.stop();
  await records.close();
  await proxy.close();
  await database.drop();
});

describe('a completion', () => {
  it.each(losses)(
    'is sent again (%s): one answer, one record, and what comes late changes nothing',
    async (loss) => {
      const key = `completion-${loss}`;
      const lost = lose(proxy, messages.complete, loss);
      const reply = await service.transfer(key);
      expect(outcomeOf(reply)).toBe('executed');
      expect(reply.body.data.transfer).toBe(`${key} done in attempt 1`);
      const before = await records.of(key);
      const late = proxy.on({ from: 'server' }, 'observe');
      lost.release();
      if (loss === 'message-late') await late.matched;
      expect(await records.of(key)).toEqual(before);
      await expectOneOutcome(service, records, key);
      expect(service.attempts(key)).toEqual([1]);
    },
  );

  it('is sent again as often as it takes', async () => {
    proxy.on(messages.complete, 'cut-before', 5);
    expect(outcomeOf(await service.transfer('five-times'))).toBe('executed');
    await expectOneOutcome(service, records, 'five-times');
  });

  it('of a final error is sent again too', async () => {
    onAnswer(proxy, messages.complete, 'cut-before');
    service.resolveWith(() => {
      throw new FinalError('declined', { extensions: { code: 'DECLINED' } });
    });
    expect((await service.transfer('declined')).code).toBe('DECLINED');
    expect((await service.transfer('declined')).code).toBe('DECLINED');
    expect(service.attempts('declined')).toEqual([1]);
  });

  it('waits for whoever holds the row, longer than one wait for a lock', async () => {
    const held = deferred();
    service.resolveWith(async (call) => {
      await holdRow('held-at-the-end');
      held.resolve();
      return done(call);
    });
    const failed = proxy.on({ from: 'server', where: ({ sqlState }) => sqlState === '55P03' }, 'observe');
    let answered = false;
    const reply = service.transfer('held-at-the-end').finally(() => (answered = true));
    await held.promise;
    await failed.matched;
    expect(answered).toBe(false);
    await records.client.query('rollback');
    expect(outcomeOf(await reply)).toBe('executed');
    await expectOneOutcome(service, records, 'held-at-the-end');
  });
});

describe('a completion that cannot be resolved in time is OUTCOME_UNKNOWN', () => {
  it('and the retry replays it when it had arrived', async () => {
    const answered = onAnswer(proxy, messages.complete, 'cut-before');
    void answered.matched.then(() => proxy.partition());
    const reply = await impatient.transfer('arrived');
    expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_OUTCOME_UNKNOWN']);
    await proxy.healAll();
    await transferUntil(impatient, 'arrived', 'replayed');
    expect(impatient.attempts('arrived')).toEqual([1]);
  });

  it('and where it had not, the policy decides after the lease: REFUSE never runs again', async () => {
    await endsUnreachable('refused', 'transfer');
    const retry = await impatient.transfer('refused');
    expect(outcomeOf(retry)).toMatch(/^IDEMPOTENCY_(?:IN_PROGRESS|OUTCOME_UNKNOWN)$/);
    await records.lapsed('refused');
    expect(outcomeOf(await impatient.transfer('refused'))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(impatient.attempts('refused')).toEqual([1]);
    // And an operator frees it.
    const identity = identityOfKey('refused').toString('hex');
    expect(await impatient.idempotency.resolve(identity, { outcome: 'completed', result: 'found out' })).toBe(
      'resolved',
    );
    expect((await impatient.transfer('refused')).body.data.transfer).toBe('found out');
  });

  it('and where it had not, RERUN executes as the next attempt', async () => {
    await endsUnreachable('rerun', 'transferAgain');
    await transferUntil(impatient, 'rerun', 'executed', { field: 'transferAgain' });
    expect(impatient.attempts('rerun')).toEqual([1, 2]);
    await expectOneOutcome(impatient, records, 'rerun', { attempt: 2, field: 'transferAgain' });
  });

  async function endsUnreachable(key: string, field: 'transfer' | 'transferAgain'): Promise<void> {
    impatient.resolveWith(async (call) => {
      if (call.attempt === 1) await proxy.refuse().then(() => proxy.cut());
      return done(call);
    });
    const reply = await impatient.transfer(key, field);
    expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_OUTCOME_UNKNOWN']);
    await proxy.healAll();
  }
});

describe('the end of an attempt of which nothing was done', () => {
  it.each(losses)('is sent again (%s): the retry executes', async (loss) => {
    const key = `released-${loss}`;
    service.resolveWith(() => {
      lose(proxy, messages.release, loss);
      throw new GraphQLError('no such account', { extensions: { code: 'BAD_USER_INPUT' } });
    });
    expect((await service.transfer(key)).code).toBe('BAD_USER_INPUT');
    service.resolveWith();
    expect(outcomeOf(await service.transfer(key))).toBe('executed');
  });
});

describe('an outcome that stays unknown', () => {
  it.each(['message-lost', 'answer-lost'] as const)(
    'is left open when that is sent again (%s), and never told as a lost lease',
    async (loss) => {
      const key = `abandoned-${loss}`;
      lose(proxy, messages.abandon, loss);
      service.resolveWith(() => {
        throw new Error('who knows');
      });
      expect(outcomeOf(await service.transfer(key))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
      expect(await records.of(key)).toMatchObject({ state: 'unknown', attempt: 1 });
    },
  );

  it.each(['message-lost', 'answer-lost'] as const)(
    'is told although this attempt has done nothing, where a step was done (%s)',
    async (loss) => {
      const key = `kept-${loss}`;
      lose(proxy, messages.release, loss);
      service.resolveWith(async ({ step }) => {
        await step('send', () => 1);
        throw new GraphQLError('no such account', { extensions: { code: 'BAD_USER_INPUT' } });
      });
      expect(outcomeOf(await service.transfer(key))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
      expect(await records.of(key)).toMatchObject({ state: 'unknown', attempt: 1 });
    },
  );
});

describe('the entry of a step', () => {
  it.each(losses)('that is not answered (%s) is sent again, and the step runs once', async (loss) => {
    const key = `step-${loss}`;
    let runs = 0;
    const lost = lose(proxy, messages.step, loss);
    service.resolveWith(async (call) => {
      await call.step('send', () => (runs += 1));
      return done(call);
    });
    expect(outcomeOf(await service.transfer(key))).toBe('executed');
    lost.release();
    expect(runs).toBe(1);
    await expectOneOutcome(service, records, key);
  });

  it('that cannot be written ends in OUTCOME_UNKNOWN, and nothing after it runs', async () => {
    let after = 0;
    impatient.resolveWith(async (call) => {
      await call.step('send', async () => {
        await proxy.refuse();
        proxy.cut();
      });
      after += 1;
      return done(call);
    });
    expect(outcomeOf(await impatient.transfer('unjournaled'))).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(after).toBe(0);
  });
});

describe('a step with a transaction', () => {
  const insert = (call: { key: string; step: { transaction: Function } }): Promise<unknown> =>
    call.step.transaction('book', (tx: { query: Function }) =>
      tx.query('insert into payments (amount, note) values (1, $1) returning id', [call.key]),
    );

  it('whose COMMIT is not answered is found committed: its writes are there once', async () => {
    service.resolveWith(async (call) => {
      lose(proxy, messages.step, 'answer-lost');
      await insert(call);
      return done(call);
    });
    expect(outcomeOf(await service.transfer('book-answer'))).toBe('executed');
    expect(await paid('book-answer')).toBe(1);
    await expectOneOutcome(service, records, 'book-answer');
  });

  it('whose COMMIT never came has written nothing; the next attempt writes it, once', async () => {
    proxy.on(messages.step, 'cut-before');
    service.resolveWith(async (call) => {
      await insert(call);
      return done(call);
    });
    expect(outcomeOf(await service.transfer('book-message', 'transferAgain'))).toBe(
      'IDEMPOTENCY_OUTCOME_UNKNOWN',
    );
    expect(await paid('book-message')).toBe(0);
    expect(outcomeOf(await service.transfer('book-message', 'transferAgain'))).toBe('executed');
    expect(await paid('book-message')).toBe(1);
    expect(service.attempts('book-message')).toEqual([1, 2]);
    await expectOneOutcome(service, records, 'book-message', { attempt: 2, field: 'transferAgain' });
  });

  async function paid(key: string): Promise<number> {
    return (await service.payments()).filter(({ note }) => note === key).length;
  }
});

async function holdRow(key: string): Promise<void> {
  await records.client.query('begin');
  await records.client.query('select from graphql_idempotency.record where identity = $1 for update', [
    identityOfKey(key),
  ]);
}
