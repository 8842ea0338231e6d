/** Pools that join, beside transactions that a library owns. */

import type { GraphQLResolveInfo } from 'graphql';
import type { Idempotency } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import { startService } from '../../support/service.ts';
import type { PayCall, Service, ServiceContext } from '../../support/service.ts';
import { libraryOn } from './libraries.ts';

let service: Service;
let plain: pg.Pool;
let joined: pg.Pool;
/** What the library takes its connections from. */
let source: pg.Pool;
let act: (call: PayCall, client: pg.PoolClient) => unknown;
let keys = 0;
let key: string;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  plain = new pg.Pool({ connectionString: url, max: 4 });
  source = plain;
  service = await startService({
    databaseUrl: url,
    options: { transaction: (work) => libraryOn(source)(work) },
    pay: (call) => act(call, service.idempotency.current(call.info).client as pg.PoolClient),
    typeDefs: 'extend type Mutation { leased: Int @idempotent(mode: LEASE) }',
    resolvers: (idempotency) => ({
      Mutation: {
        leased: (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) => lease(idempotency, info),
      },
    }),
  });
  joined = service.idempotency.pool;
});
beforeEach(async () => {
  key = `joined-${(keys += 1)}`;
  source = plain;
  await plain.query('truncate payments');
});
afterAll(async () => {
  await service.stop();
  await plain.end();
});

const insert = (on: Pick<pg.Pool, 'query'>, amount: number): Promise<unknown> =>
  on.query('insert into payments (amount) values ($1)', [amount]);
const amounts = async (): Promise<number[]> => (await service.payments()).map(({ amount }) => amount);
const payment = { id: '1', amount: 1 };

async function lease(idempotency: Idempotency<ServiceContext>, info: GraphQLResolveInfo): Promise<number> {
  const attempt = idempotency.current(info);
  expect(() => attempt.client).toThrow('has no client of a library’s');
  return attempt.step.transaction('book', async (tx) => {
    await tx.query('insert into payments (amount) values (1)');
    // Steps have transactions of the store's own, which pools do join.
    await insert(joined, 2);
    return 3;
  });
}

describe('in an attempt whose transaction is a library’s', () => {
  test('a joined pool refuses what would commit by itself, and says what to do', async () => {
    act = async (_call, client) => {
      await insert(client, 1);
      await expect(insert(joined, 2)).rejects.toThrow('Write through idempotency.current(info).client');
      const lent = await joined.connect();
      await expect(lent.query('begin')).rejects.toThrow('cannot join');
      await expect(insert(lent, 3)).rejects.toThrow('cannot join');
      lent.release();
      return payment;
    };
    expect((await service.send({ key })).body.errors).toBeUndefined();
    expect(await amounts()).toEqual([1]);
  });

  test('a joined pool commits by itself what is meant to', async () => {
    act = async (_call, client) => {
      await insert(client, 1);
      await service.idempotency.outside(() => insert(joined, 2));
      throw new Error('no');
    };
    await service.send({ key });
    expect(await amounts()).toEqual([2]);
  });

  test('another call can be guarded, and has a transaction of its own', async () => {
    act = async (_call, client) => {
      await insert(client, 1);
      await service.idempotency.guard(
        { name: 'inner', scope: 'alice', key: `${key}-inner`, payload: 1 },
        async (inner) => {
          expect(inner.client).not.toBe(client);
          await insert(inner.client as pg.PoolClient, 2);
        },
      );
      throw new Error('no');
    };
    await service.send({ key });
    expect(await amounts()).toEqual([2]);
  });
});

test('the library’s own connections may be those of a joined pool', async () => {
  source = joined;
  act = async (_call, client) => {
    await insert(client, 1);
    expect(await amounts()).toEqual([]);
    return payment;
  };
  expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('executed');
  expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('replayed');
  expect(await amounts()).toEqual([1]);
  act = async (_call, client) => {
    await insert(client, 2);
    throw new Error('no');
  };
  await service.send({ key: `${key}-thrown` });
  expect(await amounts()).toEqual([1]);
});

test('a step’s transaction is the store’s own', async () => {
  const reply = await service.send({ key, query: 'mutation { leased }' });
  expect(reply.body).toMatchObject({ data: { leased: 3 } });
  expect(await amounts()).toEqual([1, 2]);
});
