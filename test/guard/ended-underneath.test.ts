/** Resolvers that end their transaction behind the guard's back, on a client that they caught for themselves. */

import type { GraphQLResolveInfo } from 'graphql';
import pg from 'pg';
import { FinalError } from 'graphql-idempotency';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';
import { expectRefusal, expectRefusalWithMark } from '../apollo/refusal.ts';

let service: Service;
let pool: pg.Pool;
let caught: pg.PoolClient;
let act: (call: PayCall) => unknown;
let keys = 0;
let key: string;

beforeAll(async () => {
  const { url } = await createDatabase({ migrated: true });
  pool = new pg.Pool({ connectionString: url, max: 2 });
  pool.on('acquire', (client) => {
    caught = client;
  });
  service = await startService({
    databaseUrl: url,
    options: { postgres: pool },
    pay: (call) => act(call),
    typeDefs: 'extend type Mutation { loose: Int @idempotent(required: false) }',
    resolvers: (idempotency) => ({
      Mutation: {
        loose: async (_: unknown, __: unknown, ___: unknown, info: GraphQLResolveInfo) => {
          await idempotency.current(info).tx.query('insert into payments (amount) values (7)');
          await caught.query('commit');
          return 7;
        },
      },
    }),
  });
});
beforeEach(() => {
  key = `ended-${(keys += 1)}`;
});
afterAll(async () => {
  await service.stop();
  await pool.end();
});

const endings: readonly (readonly [
  how: string,
  committed: boolean,
  act: (call: PayCall) => Promise<unknown>,
])[] = [
  [
    'commits, and returns',
    true,
    async ({ insert }) => {
      const payment = await insert();
      await caught.query('commit');
      return payment;
    },
  ],
  [
    'commits, and throws',
    true,
    async ({ insert }) => {
      await insert();
      await caught.query('commit');
      throw new Error('and now this');
    },
  ],
  [
    'commits, and throws a final error',
    true,
    async ({ insert }) => {
      await insert();
      await caught.query('commit');
      throw new FinalError('and now this');
    },
  ],
  [
    'commits, and writes on',
    true,
    async ({ insert }) => {
      await insert();
      await caught.query('commit');
      return insert();
    },
  ],
  [
    'commits, and begins anew',
    true,
    async ({ insert }) => {
      const payment = await insert();
      await caught.query('commit; begin');
      await insert();
      return payment;
    },
  ],
  [
    'commits, begins anew, fails and throws',
    true,
    async ({ insert, tx }) => {
      await insert();
      await caught.query('commit');
      await caught.query('begin');
      await tx.query('select 1/0');
    },
  ],
  [
    'commits and chains, fails and throws a final error',
    true,
    async ({ insert, tx }) => {
      await insert();
      await caught.query('commit and chain');
      await tx.query('select 1/0').catch(() => {});
      throw new FinalError('and now this');
    },
  ],
  [
    'disguises a COMMIT in quotes that only this session reads so',
    true,
    async ({ insert, tx }) => {
      const payment = await insert();
      await tx.query('set local standard_conforming_strings = off');
      await tx.query(`select '\\'; '; commit; --'`);
      return payment;
    },
  ],
  [
    'rolls back, and returns',
    false,
    async ({ insert }) => {
      const payment = await insert();
      await caught.query('rollback');
      return payment;
    },
  ],
  [
    'forges the mark of its attempt',
    false,
    async ({ insert, tx }) => {
      await tx.query(`set local idempotency.attempt = 'mine'`);
      return insert();
    },
  ],
  [
    'resets all settings',
    false,
    async ({ insert, tx }) => {
      await tx.query('reset all');
      return insert();
    },
  ],
];

describe.each(endings)('a resolver that %s', (_how, committed, ending) => {
  test('gets no success, and a retry gets the same error instead of a second execution', async () => {
    const before = (await service.payments()).length;
    const runs = service.runs();
    act = ending;
    const first = await service.send({ key });
    expectRefusalWithMark(first, 'TRANSACTION_BROKEN', 500);
    const { message } = first.body.errors[0];
    expect(message).toMatch(/may be committed/);
    expect(message).not.toMatch(/was rolled back/);
    const after = (await service.payments()).length;
    expect(after > before).toBe(committed);

    act = ({ insert }) => insert();
    for (const retry of [await service.send({ key }), await service.send({ key })]) {
      expectRefusalWithMark(retry, 'TRANSACTION_BROKEN', 500);
      expect(retry.body.errors).toEqual(first.body.errors);
      expect(retry.headers.get('idempotent-replayed')).toBe('true');
    }
    expect(service.runs()).toBe(runs + 1);
    expect(await service.payments()).toHaveLength(after);
    expect(service.log.filter(({ level }) => level === 'error')).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining('Mutation.pay: its resolver ended') }),
    );

    const other = await service.send({ key: `${key}-other` });
    expect(other.body.extensions.idempotency.pay.outcome).toBe('executed');
    expect(await service.payments()).toHaveLength(after + 1);
  });
});

test('without a key there is nothing to remember, and still no success', async () => {
  expectRefusal(await service.send({ query: 'mutation { loose }' }), 'TRANSACTION_BROKEN', 500);
});
