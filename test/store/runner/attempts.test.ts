/** Attempts in transactions that a library owns: what a client sees of them. */

import type { GraphQLResolveInfo } from 'graphql';
import { FinalError } from 'graphql-idempotency';
import type { Idempotency } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import { startService } from '../../support/service.ts';
import type { PayCall, Service, ServiceContext } from '../../support/service.ts';
import { deferred } from '../../support/signal.ts';
import { completeElsewhere, libraryOn } from './libraries.ts';

let service: Service;
let pool: pg.Pool;
let databaseUrl: string;
let act: (call: PayCall & { readonly client: pg.PoolClient }) => unknown = insert;
let isolation = '';

beforeAll(async () => {
  ({ url: databaseUrl } = await createDatabase({ migrated: true }));
  pool = new pg.Pool({ connectionString: databaseUrl, max: 4 });
  const sound = libraryOn(pool);
  service = await startService({
    databaseUrl,
    options: {
      transaction: (work) =>
        isolation === ''
          ? sound(work)
          : libraryOn(pool, { begin: `begin isolation level ${isolation}` })(work),
      acquireTimeout: 1000,
    },
    pay: (call) => act({ ...call, client: clientOf(call.info) }),
    typeDefs:
      'extend type Mutation { loose(fails: Boolean, commits: Boolean): Int @idempotent(required: false) }',
    resolvers: (idempotency) => ({
      Mutation: {
        loose: async (
          _: unknown,
          { fails, commits }: LooseArguments,
          __: unknown,
          info: GraphQLResolveInfo,
        ) => {
          const client = idempotency.current(info).client as pg.PoolClient;
          await client.query('insert into payments (amount) values (7)');
          if (commits === true) await client.query('commit');
          if (fails === true) throw new Error('no');
          return 7;
        },
      },
    }),
  });
});
afterEach(() => {
  act = insert;
  isolation = '';
});
afterAll(async () => {
  await service.stop();
  await pool.end();
});

interface LooseArguments {
  readonly fails?: boolean;
  readonly commits?: boolean;
}

function clientOf(info: GraphQLResolveInfo): pg.PoolClient {
  const idempotency = service.idempotency as Idempotency<ServiceContext, pg.PoolClient>;
  return idempotency.current(info).client;
}

async function insert({ args, client }: PayCall & { readonly client: pg.PoolClient }): Promise<unknown> {
  const { rows } = await client.query(
    'insert into payments (amount, note) values ($1, $2) returning id, amount, note',
    [args.amount, args.note],
  );
  return rows[0];
}

const pay = (key: string, variables: object = {}) =>
  service.send({ key, variables: { note: key, ...variables } });
const outcomeOf = (reply: Awaited<ReturnType<typeof pay>>) => reply.body.extensions.idempotency.pay.outcome;
const paidFor = async (key: string) => (await service.payments()).filter(({ note }) => note === key).length;

test('a retry replays what the first call committed through the library’s handle', async () => {
  const first = await pay('first');
  expect(outcomeOf(first)).toBe('executed');
  const retry = await pay('first');
  expect(outcomeOf(retry)).toBe('replayed');
  expect(retry.body.data).toEqual(first.body.data);
  expect(await paidFor('first')).toBe(1);
  expect((await pay('first', { amount: 5 })).code).toBe('IDEMPOTENCY_KEY_REUSED');
  expect(service.log.filter(({ level }) => level === 'warn')).toEqual([]);
});

test('what a resolver wrote that throws is rolled back, and a retry executes', async () => {
  act = async (call) => {
    await insert(call);
    throw new Error('no');
  };
  expect((await pay('thrown')).body.errors[0].message).toBe('no');
  expect(await paidFor('thrown')).toBe(0);
  act = insert;
  expect(outcomeOf(await pay('thrown'))).toBe('executed');
});

test('a final error is rolled back, stored and replayed', async () => {
  act = async (call) => {
    await insert(call);
    throw new FinalError('card declined', { extensions: { code: 'DECLINED' } });
  };
  expect((await pay('declined')).code).toBe('DECLINED');
  act = insert;
  expect((await pay('declined')).code).toBe('DECLINED');
  expect(await paidFor('declined')).toBe(0);
});

test('tx is the same transaction', async () => {
  act = async ({ tx, client, args }) => {
    await client.query('insert into payments (amount, note) values (1, $1)', [args.note]);
    const { rows, command } = await tx.query<{ id: number; amount: number }>(
      'update payments set amount = amount + $1 where note = $2 returning id, amount, note',
      [4, args.note],
    );
    expect(command).toBe('UPDATE');
    return rows[0];
  };
  expect((await pay('tx')).body.data.pay.amount).toBe(5);
});

test('tx refuses what would end the transaction, and whatever comes when the resolver has settled', async () => {
  const late = deferred();
  let outcome: Promise<unknown> = Promise.resolve();
  act = async (call) => {
    await expect(call.tx.query('commit')).rejects.toThrow('refuses COMMIT');
    await expect(call.tx.query({ text: 'select 1', rowMode: 'array' })).rejects.toThrow('rows as objects');
    outcome = late.promise.then(() => call.tx.query('insert into payments (amount) values (66)'));
    outcome.catch(() => {});
    return insert(call);
  };
  expect(outcomeOf(await pay('late'))).toBe('executed');
  late.resolve();
  await expect(outcome).rejects.toThrow('transaction is over');
});

test('of two copies at once one executes', async () => {
  const opened = deferred();
  const entered = deferred();
  act = async (call) => {
    entered.resolve();
    await opened.promise;
    return insert(call);
  };
  const first = pay('copies');
  await entered.promise;
  expect((await pay('copies')).code).toBe('IDEMPOTENCY_IN_PROGRESS');
  opened.resolve();
  expect(outcomeOf(await first)).toBe('executed');
});

test('another attempt that has completed wins: this one is rolled back, and answers from its record', async () => {
  act = async (call) => {
    const payment = await insert(call);
    await completeElsewhere(pool, 'race');
    return payment;
  };
  expect((await pay('race')).code).toBe('IDEMPOTENCY_KEY_REUSED');
  expect(await paidFor('race')).toBe(0);
});

test('a call without a key commits through the library as well', async () => {
  const before = (await service.payments()).length;
  expect((await service.send({ query: 'mutation { loose }' })).body.data.loose).toBe(7);
  expect(await service.payments()).toHaveLength(before + 1);
  await service.send({ query: 'mutation { loose(fails: true) }' });
  expect(await service.payments()).toHaveLength(before + 1);
  const ended = await service.send({ query: 'mutation { loose(commits: true) }' });
  expect(ended.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
});

test('a resolver that swallowed a failed statement gets no success', async () => {
  act = async (call) => {
    const payment = await insert(call);
    await call.client.query('select 1/0').catch(() => {});
    return payment;
  };
  const reply = await pay('swallowed');
  expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(reply.body.errors[0].message).toContain('was rolled back');
  act = insert;
  expect(outcomeOf(await pay('swallowed'))).toBe('executed');
});

test.each(['commit', 'commit; begin', 'rollback'])(
  'a resolver that sends %s gets no success, now or later',
  async (command) => {
    act = async (call) => {
      const payment = await insert(call);
      await call.client.query(command);
      return payment;
    };
    const key = `ended-by-${command.replace('; ', '-')}`;
    const reply = await pay(key);
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(reply.body.errors[0].message).toContain('may be committed');
    act = insert;
    expect((await pay(key)).body.errors).toEqual(reply.body.errors);
    expect(await paidFor(key)).toBe(command === 'rollback' ? 0 : 1);
  },
);

test('a resolver that commits and throws gets no second execution', async () => {
  act = async (call) => {
    await insert(call);
    await call.client.query('commit');
    throw new Error('and now this');
  };
  expect((await pay('commits-and-throws')).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  act = insert;
  expect((await pay('commits-and-throws')).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
  expect(await paidFor('commits-and-throws')).toBe(1);
});

test('settings that a resolver left behind do not reach the record statement', async () => {
  act = async (call) => {
    const payment = await insert(call);
    await call.client.query(`set local role pg_read_all_data; set local statement_timeout = '1ms'`);
    return payment;
  };
  expect(outcomeOf(await pay('settings'))).toBe('executed');
});

test.each(['repeatable read', 'serializable'])('a transaction that is %s is refused', async (level) => {
  isolation = level;
  const reply = await pay(`at-${level.split(' ')[0]}`);
  expect(reply.code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  isolation = '';
  expect(outcomeOf(await pay(`at-${level.split(' ')[0]}`))).toBe('executed');
});

test('an attempt that outlives the time for transactions is rolled back', async () => {
  const hasty = await startService({
    databaseUrl,
    options: { transaction: libraryOn(pool), transactionTimeout: 200 },
    pay: async ({ info }) => {
      const client = hasty.idempotency.current(info).client as pg.PoolClient;
      await client.query(`insert into payments (amount, note) values (1, 'outlived')`);
      await new Promise(() => {});
    },
  });
  const reply = await hasty.send({ key: 'outlived' });
  expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  expect(await paidFor('outlived')).toBe(0);
  await hasty.stop();
});

test('closing the stores ends the attempts at work', async () => {
  const entered = deferred();
  const closing = await startService({
    databaseUrl,
    options: { transaction: libraryOn(pool), drainTimeout: 0 },
    pay: async () => {
      entered.resolve();
      await new Promise(() => {});
    },
  });
  const reply = closing.send({ key: 'closed' });
  await entered.promise;
  await closing.idempotency.close();
  expect((await reply).code).toBe('IDEMPOTENCY_TRANSACTION_ABORTED');
  await closing.stop();
});

test('a library without a free connection bounds nobody but the call that waits for it', async () => {
  const held = await Promise.all(Array.from({ length: 4 }, () => pool.connect()));
  const reply = await pay('exhausted');
  expect(reply.code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
  for (const client of held) client.release();
  // What the library lends too late is given back unused.
  expect(outcomeOf(await pay('exhausted'))).toBe('executed');
  expect(pool.waitingCount).toBe(0);
});
