/** Resolvers of GraphQL fields add events: with a key and without, and through real HTTP. */

import type { GraphQLResolveInfo } from 'graphql';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { startService } from '../support/service.ts';
import type { Service } from '../support/service.ts';
import { payloadOf, startOutboxCase } from './outbox-case.ts';
import type { OutboxCase } from './outbox-case.ts';

let setting: OutboxCase;
let service: Service;

const SDL = `extend type Mutation {
  loose(fail: Boolean! = false): String @idempotent(required: false)
  ended: String @idempotent(required: false)
  looseLease: String @idempotent(required: false, mode: LEASE)
}`;

beforeAll(async () => {
  setting = await startOutboxCase();
  service = await startService({
    databaseUrl: setting.url,
    pay: async ({ insert, args, info }) => {
      service.idempotency.current(info).outbox.add({ topic: 'paid', payload: args.amount });
      const paid = await insert();
      if (args.note === 'fail') throw new Error('no');
      return paid;
    },
    typeDefs: SDL,
    resolvers: (idempotency) => ({
      Mutation: {
        loose: (_: unknown, { fail }: { fail: boolean }, __: unknown, info: GraphQLResolveInfo) => {
          const id = idempotency.current(info).outbox.add({ topic: 'loose', payload: 'loose' });
          if (fail) throw new Error('no');
          return id;
        },
        ended: async (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) => {
          const { tx, outbox } = idempotency.current(info);
          outbox.add({ topic: 'loose', payload: 'ended' });
          // As a transaction looks that somebody else has begun: the marker of the attempt's is gone.
          await tx.query(`select set_config('idempotency.attempt', '', true)`);
        },
        looseLease: (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) =>
          idempotency
            .current(info)
            .step.transaction('s', (_tx, { outbox }) => outbox.add({ topic: 'loose', payload: 'step' })),
      },
    }),
  });
  return () => service.stop();
});
beforeEach(async () => {
  await setting.sql('truncate graphql_idempotency.outbox');
});

const published = async (): Promise<unknown[]> => {
  const relay = setting.relay();
  await relay.drain();
  return relay.published.map(payloadOf);
};

test('a mutation that succeeds publishes its event once, however often it is sent', async () => {
  for (let sent = 0; sent < 3; sent += 1) await service.send({ key: 'a', variables: { amount: 7 } });
  expect(await published()).toEqual([7]);
});

test('a mutation that fails publishes nothing, and its retry does', async () => {
  await service.send({ key: 'b', variables: { amount: 1, note: 'fail' } });
  expect(await published()).toEqual([]);
  await service.send({ key: 'c', variables: { amount: 1 } });
  expect(await published()).toEqual([1]);
});

test('without a key the event commits with the transaction all the same, under an id of its own', async () => {
  const ids = new Set<string>();
  for (let sent = 0; sent < 2; sent += 1) {
    const { body } = await service.send({ query: 'mutation { loose }' });
    ids.add(body.data.loose);
  }
  expect(ids.size).toBe(2);
  expect((await setting.rows()).map(({ event_id: id }) => id)).toEqual([...ids]);
  expect(await published()).toEqual(['loose', 'loose']);
});

test('without a key, what fails publishes nothing', async () => {
  await service.send({ query: 'mutation { loose(fail: true) }' });
  expect(await published()).toEqual([]);
});

test('without a key, an event is not added to what is left of a transaction that was ended underneath', async () => {
  expect((await service.send({ query: 'mutation { ended }' })).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await setting.rows()).toEqual([]);
});

test('without a key or a lease, a step’s transaction has its outbox', async () => {
  const { body } = await service.send({ query: 'mutation { looseLease }' });
  expect((await setting.rows()).map(({ event_id: id }) => id)).toEqual([body.data.looseLease]);
  expect(await published()).toEqual(['step']);
});
