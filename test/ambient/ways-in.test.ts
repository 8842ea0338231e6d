/** Which pools join, in which attempts, and how long they live. */

import pg from 'pg';
import { createIdempotency } from 'graphql-idempotency';
import type { Idempotency } from 'graphql-idempotency';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { Service, ServiceContext } from '../support/service.ts';
import { removeFolder, temporaryFolder } from '../support/janitor.ts';
import { eventually } from '../support/signal.ts';

let url: string;
let keys = 0;
const newKey = (): string => `way-${(keys += 1)}`;

beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});

const insert = (pool: pg.Pool, amount: number): Promise<unknown> =>
  pool.query('insert into payments (amount) values ($1)', [amount]);

describe('every transaction of a guarded call is joined', () => {
  let service: Service;
  let idempotency: Idempotency<ServiceContext>;
  beforeAll(async () => {
    service = await startService({
      databaseUrl: url,
      typeDefs: `extend type Mutation {
        leased(fail: Boolean!): Int @idempotent(mode: LEASE)
        open(fail: Boolean!): Int @idempotent(required: false)
      }`,
      resolvers: (own) => ({
        Mutation: {
          leased: async (_: unknown, { fail }: { fail: boolean }, __: unknown, info: never) => {
            const { step } = own.current(info);
            // Outside a step there is no transaction: it is a pool like any other.
            await insert(own.pool, 1);
            return step.transaction('book', async (tx) => {
              await insert(own.pool, 2);
              await tx.query('insert into payments (amount) values (3)');
              if (fail) throw new Error('no');
              return 3;
            });
          },
          open: async (_: unknown, { fail }: { fail: boolean }) => {
            await insert(own.pool, 4);
            if (fail) throw new Error('no');
            return 4;
          },
        },
      }),
    });
    ({ idempotency } = service);
  });
  afterAll(() => service.stop());
  beforeEach(() => idempotency.pool.query('truncate payments'));
  const amounts = async (): Promise<number[]> => (await service.payments()).map(({ amount }) => amount);

  test.each([
    [false, [1, 2, 3]],
    [true, [1]],
  ])('a step with a transaction in LEASE mode (fails: %s)', async (fail, expected) => {
    await service.send({ query: `mutation { leased(fail: ${fail}) }`, key: newKey() });
    expect(await amounts()).toEqual(expected);
  });

  test.each([
    [false, [4]],
    [true, []],
  ])('a call without a key (fails: %s)', async (fail, expected) => {
    await service.send({ query: `mutation { open(fail: ${fail}) }` });
    expect(await amounts()).toEqual(expected);
  });
});

describe('a pool of the user’s', () => {
  test('joins where it is, for whoever holds it', async () => {
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    onTestFinished(() => pool.end());
    const service = await startService({
      databaseUrl: url,
      options: { postgres: pool },
      pay: async () => {
        await insert(pool, 11);
        throw new Error('no');
      },
    });
    onTestFinished(() => service.stop());
    expect(service.idempotency.join(pool)).toBe(pool);
    expect(service.idempotency.join(pool)).toBe(pool);
    expect(service.idempotency.pool).toBe(pool);
    await service.send({ key: newKey() });
    expect((await pool.query('select from payments where amount = 11')).rowCount).toBe(0);
    expect(pool.totalCount).toBe(1);
  });

  test('belongs to one instance', () => {
    const pool = new pg.Pool({ connectionString: url });
    const make = () => createIdempotency({ scope: () => 'a', postgres: url, redis: false });
    make().join(pool);
    expect(() => make().join(pool)).toThrow(/joined by another instance/);
  });

  test('is not joined unless it is asked to: an attempt is none of its business', async () => {
    const pool = new pg.Pool({ connectionString: url });
    onTestFinished(() => pool.end());
    const service = await startService({
      databaseUrl: url,
      options: { postgres: pool },
      pay: async () => {
        await insert(pool, 12);
        throw new Error('no');
      },
    });
    onTestFinished(() => service.stop());
    await service.send({ key: newKey() });
    expect((await pool.query('select from payments where amount = 12')).rowCount).toBe(1);
  });
});

describe('the library’s own pool', () => {
  const named = (name: string) => ({ connectionString: url, application_name: name });
  async function connectionsOf(name: string): Promise<number> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rowCount } = await client.query('select from pg_stat_activity where application_name = $1', [
      name,
    ]);
    await client.end();
    return rowCount!;
  }

  test('closes with the stores, and opens again with its next use', async () => {
    const idempotency = createIdempotency({ scope: () => 'a', postgres: named('reopened'), redis: false });
    const { pool } = idempotency;
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 1, 0]);
    await idempotency.close();
    await eventually(async () => (await connectionsOf('reopened')) === 0);
    expect((await pool.query('select 2 as two')).rows).toEqual([{ two: 2 }]);
    await pool.end();
    await expect(pool.query('select 3')).rejects.toThrow(/after calling end/);
    await idempotency.close();
    expect(await connectionsOf('reopened')).toBe(0);
  });

  test('does not keep the stores from closing while a client of it is lent', async () => {
    const idempotency = createIdempotency({ scope: () => 'a', postgres: named('lent'), redis: false });
    const client = await idempotency.pool.connect();
    await idempotency.close();
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    client.release();
    await eventually(async () => (await connectionsOf('lent')) === 0);
  });

  test('tells its listeners what happens to its connections', async () => {
    const idempotency = createIdempotency({ scope: () => 'a', postgres: named('events'), redis: false });
    const events: string[] = [];
    for (const event of ['connect', 'acquire', 'release', 'remove'] as const) {
      idempotency.pool.on(event as 'connect', () => events.push(event));
    }
    await idempotency.pool.query('select 1');
    await idempotency.close();
    await eventually(() => events.length === 4);
    expect(events).toEqual(['connect', 'acquire', 'release', 'remove']);
  });

  test('is the embedded database where the records are in that, and one connection is enough', async () => {
    const embeddedFolder = await temporaryFolder('joined-embedded');
    onTestFinished(() => removeFolder(embeddedFolder));
    const idempotency = createIdempotency({
      scope: () => 'a',
      embedded: true,
      embeddedFolder,
      redis: false,
      logger: { info: () => {}, warn: () => {}, error: () => {} },
    });
    await idempotency.pool.query('create table kept (id integer)');
    const call = (key: string, fail: boolean) =>
      idempotency.guard({ scope: 'a', key }, async ({ tx }) => {
        await idempotency.pool.query('insert into kept values (1)');
        await tx.query('insert into kept values (2)');
        if (fail) throw new Error('no');
        return 1;
      });
    await expect(call('fails', true)).rejects.toThrow('no');
    expect(await call('works', false)).toEqual({ outcome: 'executed', value: 1 });
    expect(await call('works', true)).toEqual({ outcome: 'replayed', value: 1 });
    expect((await idempotency.pool.query('select id from kept order by id')).rows).toEqual([
      { id: 1 },
      { id: 2 },
    ]);
    await idempotency.close();
  }, 60_000);
});
