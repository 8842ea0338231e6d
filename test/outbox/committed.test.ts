/** An event is published where its attempt has committed, and nowhere else. */

import { FinalError } from 'graphql-idempotency';
import type { CurrentAttempt, Outbox } from 'graphql-idempotency';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { codeOf } from '../guard/direct/calls.ts';
import { payloadOf, startOutboxCase } from './outbox-case.ts';
import type { ListeningRelay, OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;
let relay: ListeningRelay;
let keys = 0;

beforeAll(async () => {
  setting = await startOutboxCase();
});
beforeEach(async () => {
  await setting.sql('truncate effects, graphql_idempotency.outbox');
  relay = setting.relay();
});

const call = () => ({ scope: 'alice', key: `key-${(keys += 1)}` });
const published = async (): Promise<unknown[]> => {
  await relay.drain();
  return relay.published.map(payloadOf);
};

test('an attempt that commits publishes what it added, as it added it', async () => {
  let id = '';
  await setting.idempotency.guard(call(), async ({ tx, outbox }) => {
    await setting.write(tx, 'a');
    id = outbox.add({ topic: 'paid', key: 'order-1', payload: { cents: 5 }, headers: { Trace: 'x' } });
  });
  await relay.drain();
  expect(relay.published).toEqual([
    {
      id,
      topic: 'paid',
      key: 'order-1',
      payload: Buffer.from('{"cents":5}'),
      headers: { 'content-type': 'application/json', trace: 'x' },
      createdAt: expect.any(Date),
      attempt: 1,
    },
  ]);
  expect(Date.now() - relay.published[0]!.createdAt.getTime()).toBeLessThan(60_000);
  expect(await setting.rows()).toEqual([]);
});

test('nothing is published before the commit', async () => {
  await setting.idempotency.guard(call(), async ({ outbox, tx }) => {
    outbox.add({ topic: 't', payload: 1 });
    // Written already, behind a savepoint.
    await tx.query('savepoint a');
    outbox.add({ topic: 't', payload: 2 });
    await setting.write(tx, 'a');
    expect(await relay.drain()).toMatchObject({ published: 0 });
  });
  expect(await published()).toEqual([1, 2]);
});

test.each([
  ['an error', () => new Error('no')],
  ['a final error', () => new FinalError('declined')],
  ['a failed statement', async ({ tx }: CurrentAttempt) => tx.query('select 1/0')],
])('an attempt that ends with %s publishes nothing', async (_what, end) => {
  const run = setting.idempotency.guard(call(), async (attempt) => {
    await setting.write(attempt.tx, 'a');
    attempt.outbox.add({ topic: 't', payload: 1 });
    const error: unknown = await end(attempt);
    throw error;
  });
  await expect(run).rejects.toThrow();
  expect(await published()).toEqual([]);
  expect(await setting.rows()).toEqual([]);
  expect(await setting.effects()).toEqual([]);
});

test('an attempt that swallowed a failed statement publishes nothing', async () => {
  const run = setting.idempotency.guard(call(), async ({ tx, outbox }) => {
    outbox.add({ topic: 't', payload: 1 });
    await tx.query('select 1/0').catch(() => {});
  });
  expect(await codeOf(run)).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await published()).toEqual([]);
});

test('an attempt that adds an event and writes nothing else has written', async () => {
  await setting.idempotency.guard({ ...call(), name: 'onlyEvents' }, ({ outbox }) => {
    outbox.add({ topic: 't', payload: 1 });
  });
  await setting.idempotency.guard({ ...call(), name: 'nothingAtAll' }, () => {});
  const told = (name: string): boolean => setting.log.some(({ message }) => message.startsWith(name));
  expect([told('onlyEvents'), told('nothingAtAll')]).toEqual([false, true]);
});

test('a replay publishes nothing anew', async () => {
  const again = call();
  const add = ({ outbox }: { readonly outbox: Outbox }): void => void outbox.add({ topic: 't', payload: 1 });
  await setting.idempotency.guard(again, add);
  expect((await setting.idempotency.guard(again, add)).outcome).toBe('replayed');
  expect(await published()).toEqual([1]);
});

test('of two attempts at once, only the winner’s event is published', async () => {
  const beside = await startOutboxCase({ beside: setting });
  for (let round = 0; round < 10; round += 1) {
    const same = call();
    const runs = [setting, beside].map(({ idempotency }, index) =>
      codeOf(
        idempotency.guard(same, ({ outbox }) => void outbox.add({ topic: 't', payload: [round, index] })),
      ),
    );
    await Promise.all(runs);
  }
  const rounds = (await published()).map((payload) => (payload as number[])[0]);
  expect(rounds).toEqual(Array.from({ length: 10 }, (_, round) => round));
});

test('an attempt whose transaction was ended underneath does not add its event to what is left', async () => {
  const run = setting.idempotency.guard(call(), async ({ tx, outbox }) => {
    outbox.add({ topic: 't', payload: 1 });
    // As a transaction looks that somebody else has begun: the marker of the claim's is gone.
    await tx.query(`select set_config('idempotency.attempt', '', true)`);
  });
  expect(await codeOf(run)).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await published()).toEqual([]);
});

test('an event that cannot be inserted fails the commit: no success without it', async () => {
  const [taken] = await setting.add({});
  const run = setting.idempotency.guard(call(), async ({ tx, outbox }) => {
    await setting.write(tx, 'a');
    outbox.add({ topic: 't', payload: 1 });
    await tx.query(
      `create function pg_temp.refuse() returns trigger language plpgsql as $$ begin raise 'no more events'; end $$`,
    );
    await tx.query(
      `create trigger refuse before insert on graphql_idempotency.outbox execute function pg_temp.refuse()`,
    );
  });
  await expect(run).rejects.toMatchObject({ code: 'IDEMPOTENCY_TRANSACTION_ABORTED' });
  expect((await setting.rows()).map(({ event_id: id }) => id)).toEqual([taken]);
  expect(await setting.effects()).toEqual([]);
});

test('what the resolver set for its own statements does not keep its event from being inserted', async () => {
  const role = `nobody_${process.pid}`;
  await setting.sql(`drop role if exists ${role}`);
  await setting.sql(`create role ${role}`);
  await setting.idempotency.guard(call(), async ({ tx, outbox }) => {
    outbox.add({ topic: 't', payload: 1 });
    await tx.query(`set local role ${role}`);
    await tx.query('set local standard_conforming_strings = off');
  });
  await setting.sql(`drop role ${role}`);
  expect(await published()).toEqual([1]);
});

describe('a call without a record', () => {
  const transactionOf = async (run: (attempt: CurrentAttempt) => unknown): Promise<unknown> => {
    let result: unknown;
    await setting.idempotency.guard({ ...call(), mode: 'LEASE' }, async ({ step }) => {
      result = await step.transaction('s', (tx, { outbox }) => run({ tx, outbox } as CurrentAttempt));
    });
    return result;
  };

  test('in a step’s transaction, the event commits with the step', async () => {
    await transactionOf(async ({ tx, outbox }) => {
      await setting.write(tx, 'a');
      outbox.add({ topic: 't', payload: 's' });
    });
    expect(await published()).toEqual(['s']);
    expect(await setting.effects()).toEqual(['a']);
  });

  test('in a step’s transaction that fails, it is gone', async () => {
    const failed = transactionOf(({ outbox }) => {
      outbox.add({ topic: 't', payload: 's' });
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow();
    expect(await published()).toEqual([]);
  });
});

test('the outbox of an attempt is over with it', async () => {
  let late!: Outbox;
  await setting.idempotency.guard(call(), ({ outbox }) => void (late = outbox));
  expect(() => late.add({ topic: 't', payload: 1 })).toThrow(/transaction is over/);
  expect(await published()).toEqual([]);
});

test('in mode LEASE there is no outbox but that of a step’s transaction, and the error says so', async () => {
  const run = setting.idempotency.guard({ ...call(), mode: 'LEASE' }, ({ outbox }) => void outbox);
  await expect(run).rejects.toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
});
