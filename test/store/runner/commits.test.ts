/** COMMITs of a library that get no answer, and records that come late. */

import type { TransactionRunner } from 'graphql-idempotency';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectOnePayment, outcomeOf, paidFor, pay } from '../../faults/postgres/retries.ts';
import type { MessageMatch } from '../../support/proxy-rules.ts';
import { eventually } from '../../support/signal.ts';
import { completeElsewhere, send } from './libraries.ts';
import { COMMIT, COMMITTED, RECORD, makeStage } from './stage.ts';
import type { Stage } from './stage.ts';

const RECORDED: MessageMatch = {
  from: 'server',
  type: 'DataRow',
  where: ({ bytes }) => bytes.includes('completed_ms'),
};

let stage: Stage;
beforeAll(async () => {
  stage = await makeStage();
});
beforeEach(() => stage.warm());
afterEach(() => stage.heal());
afterAll(() => stage.close());

describe('the COMMIT whose answer is lost', () => {
  test('has happened, and its call is answered from the record', async () => {
    stage.libraryProxy.on(COMMITTED, 'cut-before');
    expect(outcomeOf(await pay(stage.service, 'answer-lost'))).toBe('replayed');
    await expectOnePayment(stage.service, 'answer-lost', 'replayed');
  });

  test('is waited for while it is under way', async () => {
    const held = stage.libraryProxy.on(COMMIT, 'hold');
    const reply = pay(stage.service, 'under-way');
    await held.matched;
    await probed();
    held.release();
    expect(outcomeOf(await reply)).toBe('replayed');
    await expectOnePayment(stage.service, 'under-way', 'replayed');
  });

  test('is not known while it is under way for longer than that; the retry replays', async () => {
    const impatient = await stage.start({ probeTimeout: 300 });
    const held = stage.libraryProxy.on(COMMIT, 'hold');
    expect((await pay(impatient, 'too-late')).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect((await pay(impatient, 'too-late')).code).toBe('IDEMPOTENCY_IN_PROGRESS');
    held.release();
    await expectOnePayment(stage.service, 'too-late', 'replayed');
    await impatient.stop();
  });

  test('is not known while the store’s own connections are down; the retry replays', async () => {
    const impatient = await stage.start({ probeTimeout: 600, acquireTimeout: 1000, claimTimeout: 1000 });
    const held = stage.libraryProxy.on(COMMITTED, 'hold');
    const reply = pay(impatient, 'blind');
    await held.matched;
    stage.ownProxy.partition();
    held.release();
    expect((await reply).code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    await stage.ownProxy.healAll();
    await expectOnePayment(stage.service, 'blind', 'replayed');
    await impatient.stop();
  });
});

describe('the COMMIT that Postgres never got', () => {
  test.each([
    ['the record statement', RECORD],
    ['the answer to the record statement', RECORDED],
    ['COMMIT', COMMIT],
  ])(
    'because the connection broke at %s: TRANSACTION_ABORTED, and the retry executes',
    async (what, match) => {
      stage.libraryProxy.on(match, 'cut-before');
      const key = `cut-at-${what.replaceAll(' ', '-')}`;
      const reply = await pay(stage.service, key);
      expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_TRANSACTION_ABORTED']);
      expect(await paidFor(stage.service, key)).toBe(0);
      await expectOnePayment(stage.service, key, 'executed');
    },
  );
});

describe('a record statement that comes late', () => {
  test('is rolled back behind it; until then retries are IN_PROGRESS, and then one executes', async () => {
    const held = stage.libraryProxy.on(RECORD, 'hold');
    expect((await pay(stage.service, 'late-record')).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    expect((await pay(stage.service, 'late-record')).code).toBe('IDEMPOTENCY_IN_PROGRESS');
    held.release();
    await expectOnePayment(stage.service, 'late-record', 'executed');
  });

  test('is the answer to retries where its library commits in spite of everything', async () => {
    const held = stage.libraryProxy.on(RECORD, 'hold');
    const stubborn = await stage.start({ transaction: committingAlways });
    expect((await pay(stubborn, 'stubborn')).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    held.release();
    await expectOnePayment(stage.service, 'stubborn', 'replayed');
    await stubborn.stop();
  });

  test('fails where another attempt has completed, and takes with it what its library commits', async () => {
    const held = stage.libraryProxy.on(RECORD, 'hold');
    const stubborn = await stage.start({ transaction: committingAlways });
    expect((await pay(stubborn, 'overtaken')).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    await completeElsewhere(stage.direct, 'overtaken');
    held.release();
    await stage.idle();
    expect(await paidFor(stage.service, 'overtaken')).toBe(0);
    expect((await pay(stage.service, 'overtaken')).code).toBe('IDEMPOTENCY_KEY_REUSED');
    await stubborn.stop();
  });

  /** Commits whatever its work did, and only then says that it failed. */
  const committingAlways: TransactionRunner<pg.PoolClient> = async (work) => {
    const client = await stage.pool.connect();
    await client.query('begin');
    const worked = work({ client, query: async (text, values) => send(client, text, values) });
    const failure = await worked.catch((error: unknown) => error);
    await client.query('commit');
    client.release();
    if (failure !== undefined) throw failure;
  };
});

/** Waits until a record statement waits for the transaction that has inserted the same record. */
async function probed(): Promise<void> {
  await eventually(async () => {
    const { rowCount } = await stage.direct.query(
      `select from pg_stat_activity where datname = current_database() and wait_event = 'transactionid'`,
    );
    return rowCount === 1;
  });
}
