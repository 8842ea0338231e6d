/** COMMITs that are not what a library says they are, that Postgres refuses, or that nobody can remember. */

import { FinalError } from 'graphql-idempotency';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { expectOnePayment, paidFor, pay } from '../../faults/postgres/retries.ts';
import { send } from './libraries.ts';
import { COMMIT, COMMITTED, insert, makeStage } from './stage.ts';
import type { Stage } from './stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await makeStage();
});
beforeEach(() => stage.warm());
afterEach(() => stage.heal());
afterAll(() => stage.close());

describe('a library that reports a COMMIT', () => {
  test('which Postgres turned into a rollback, gets no success for it', async () => {
    stage.library = {
      // A statement that nobody awaited, and that comes when the record is written.
      beforeCommit: async (client) => {
        await client.query('select 1/0').catch(() => {});
      },
    };
    const reply = await pay(stage.service, 'turned');
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    stage.library = {};
    expect((await pay(stage.service, 'turned')).body.errors).toEqual(reply.body.errors);
    expect(await paidFor(stage.service, 'turned')).toBe(0);
  });

  test('from which a savepoint took the record alone, gets no second execution', async () => {
    stage.library = {
      query: async (client, text, values) => {
        if (text.includes('.complete(')) await client.query('savepoint open');
        return send(client, text, values);
      },
      beforeCommit: (client) => client.query('rollback to open'),
    };
    const reply = await pay(stage.service, 'savepoint');
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(await paidFor(stage.service, 'savepoint')).toBe(1);
    stage.library = {};
    expect((await pay(stage.service, 'savepoint')).body.errors).toEqual(reply.body.errors);
    expect(await paidFor(stage.service, 'savepoint')).toBe(1);
  });
});

test('a COMMIT that Postgres refuses is TRANSACTION_ABORTED', async () => {
  await stage.direct.query(
    'create table owed (payment integer references payments deferrable initially deferred)',
  );
  stage.resolver = async (client, note) => {
    const payment = await insert(client, note);
    await client.query('insert into owed values (0)');
    return payment;
  };
  expect((await pay(stage.service, 'refused')).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  stage.resolver = insert;
  await expectOnePayment(stage.service, 'refused', 'executed');
});

test.each(['returns', 'throws'])(
  'a session that ends under a resolver that %s has not committed',
  async (how) => {
    const key = `terminated-${how}`;
    stage.resolver = async (client, note) => {
      const payment = await insert(client, note);
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
      await stage.direct.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
      if (how === 'throws') await client.query('select 1');
      return payment;
    };
    expect((await pay(stage.service, key)).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    stage.resolver = insert;
    await expectOnePayment(stage.service, key, 'executed');
  },
);

test('a final error after the session has ended is not remembered', async () => {
  stage.resolver = async (client, note) => {
    await insert(client, note);
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    await stage.direct.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
    await client.query('select 1').catch(() => {});
    throw new FinalError('card declined');
  };
  expect((await pay(stage.service, 'not-final')).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  stage.resolver = insert;
  await expectOnePayment(stage.service, 'not-final', 'executed');
});

test('a record that another transaction holds for long is IN_PROGRESS', async () => {
  stage.resolver = async (client, note) => {
    const payment = await insert(client, note);
    await stage.direct.query('begin; lock table graphql_idempotency.record in exclusive mode');
    return payment;
  };
  expect((await pay(stage.service, 'held')).code).toBe('IDEMPOTENCY_IN_PROGRESS');
  await stage.direct.query('rollback');
  stage.resolver = insert;
  await expectOnePayment(stage.service, 'held', 'executed');
});

describe('without a key', () => {
  const loose = () => stage.service.send({ query: 'mutation { loose }' });

  test('a lost answer to COMMIT is found out all the same', async () => {
    const before = await paidFor(stage.service, 'loose');
    stage.libraryProxy.on(COMMITTED, 'cut-before');
    expect((await loose()).body.data).toEqual({ loose: 7 });
    expect(await paidFor(stage.service, 'loose')).toBe(before + 1);
  });

  test('a COMMIT that Postgres never got is TRANSACTION_ABORTED', async () => {
    const before = await paidFor(stage.service, 'loose');
    stage.libraryProxy.on(COMMIT, 'cut-before');
    expect((await loose()).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
    expect(await paidFor(stage.service, 'loose')).toBe(before);
  });

  test('a COMMIT that arrives after its connection broke is found out', async () => {
    const before = await paidFor(stage.service, 'loose');
    const held = stage.libraryProxy.on(COMMIT, 'hold');
    const inProgress = (message: { readonly bytes: Buffer }): boolean =>
      message.bytes.includes('in progress');
    const asked = stage.ownProxy.on({ from: 'server', type: 'DataRow', where: inProgress }, { delayMs: 0 });
    stage.library = {
      beforeCommit: (client) => {
        const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
        void held.matched.then(() => connection.stream.destroy());
      },
    };
    void asked.matched.then(() => held.release());
    expect((await loose()).body.data).toEqual({ loose: 7 });
    expect(await paidFor(stage.service, 'loose')).toBe(before + 1);
  });

  test('a COMMIT that Postgres turned into a rollback is TRANSACTION_BROKEN', async () => {
    stage.library = {
      beforeCommit: async (client) => {
        await client.query('select 1/0').catch(() => {});
      },
    };
    expect((await loose()).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  });

  test('a COMMIT under way is not known, and nobody is told to send it again', async () => {
    const held = stage.libraryProxy.on(COMMIT, 'hold');
    const reply = await loose();
    expect(reply.code).toBe('IDEMPOTENCY_OUTCOME_UNKNOWN');
    expect(reply.body.errors[0].extensions.retryable).toBe(false);
    held.release();
    await stage.idle();
  });
});
