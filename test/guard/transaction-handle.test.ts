/** What a resolver may do with its transaction, and that nothing of it outlives the resolver. */

import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startService } from '../support/service.ts';
import type { PayCall, Service } from '../support/service.ts';
import { deferred } from '../support/signal.ts';
import { expectRefusal } from '../apollo/refusal.ts';

let keys = 0;
let key: string;
beforeEach(() => {
  key = `handle-${(keys += 1)}`;
});

describe.each(["the library's own pool", "a pool of the user's"])('on %s', (which) => {
  let service: Service;
  let pool: pg.Pool | undefined;
  let act: (call: PayCall) => unknown;
  beforeAll(async () => {
    const { url } = await createDatabase({ migrated: true });
    // One connection: whatever one request leaves behind, the next one meets.
    if (which !== "the library's own pool") pool = new pg.Pool({ connectionString: url, max: 1 });
    service = await startService({
      databaseUrl: url,
      options: { poolSize: 1, ...(pool === undefined ? {} : { postgres: pool }) },
      pay: (call) => act(call),
    });
  });
  afterAll(async () => {
    await service.stop();
    await pool?.end();
  });

  const amounts = async (): Promise<number[]> => (await service.payments()).map(({ amount }) => amount);

  test.each([
    ['commit', 'COMMIT'],
    ['  Commit ;', 'COMMIT'],
    ['commit work', 'COMMIT'],
    ['commit and chain', 'COMMIT'],
    [`commit prepared 'x'`, 'COMMIT'],
    ['end', 'END'],
    ['eNd TrAnSaCtIoN', 'END'],
    ['abort', 'ABORT'],
    ['rollback', 'ROLLBACK'],
    ['rollback work', 'ROLLBACK'],
    ['rollback transaction', 'ROLLBACK'],
    ['ROLLBACK/* to */', 'ROLLBACK'],
    ['rollback -- to a', 'ROLLBACK'],
    ['rollback and chain', 'ROLLBACK'],
    [`rollback prepared 'x'`, 'ROLLBACK'],
    ['begin', 'BEGIN'],
    ['begin isolation level serializable', 'BEGIN'],
    ['start transaction', 'START'],
    [`prepare transaction 'x'`, 'PREPARE TRANSACTION'],
    [`PREPARE\n\tTransaction 'x'`, 'PREPARE TRANSACTION'],
    ['/* harmless */ commit', 'COMMIT'],
    ['/* outer /* inner */ still */ commit', 'COMMIT'],
    ['-- harmless\ncommit', 'COMMIT'],
    ['--\rcommit', 'COMMIT'],
    ['select 1; commit', 'COMMIT'],
    [';;commit', 'COMMIT'],
    [`select ';'; commit`, 'COMMIT'],
    [`select E'\\';'; commit`, 'COMMIT'],
    [`select e'it''s \\'; --'; commit`, 'COMMIT'],
    ['select 1 as "a;"";b"; rollback', 'ROLLBACK'],
    ['select $$;$$; commit', 'COMMIT'],
    ['select $a$ $$ ; $b$ $a$; commit', 'COMMIT'],
    ['savepoint s; rollback to s; rollback', 'ROLLBACK'],
    ['commit; begin', 'COMMIT'],
  ])('%j is refused, and the transaction goes on', async (sql, command) => {
    const before = (await amounts()).length;
    const refusals: unknown[] = [];
    act = async ({ tx, insert }) => {
      refusals.push(await tx.query(sql).catch((error: unknown) => error));
      refusals.push(await tx.query({ text: sql }).catch((error: unknown) => error));
      return insert();
    };
    const reply = await service.send({ key });
    expect(reply.status).toBe(200);
    for (const refusal of refusals)
      expect((refusal as Error).message).toMatch(`tx.query refuses ${command}:`);
    expect((await amounts()).length).toBe(before + 1);
    expect((await service.send({ key })).headers.get('idempotent-replayed')).toBe('true');
  });

  test('what only looks like such a command is welcome', async () => {
    act = async ({ tx, insert }) => {
      for (const sql of [
        `select 'commit'`,
        `select '; commit; '`,
        'select 1 as "commit"',
        '-- commit\nselect 1',
        '/* commit; */ select 1',
        'select case when true then 1 end',
        'select $$ ; commit; $$',
        `select E'\\'; commit; '`,
        'do $$ begin perform 1; end $$',
        'savepoint s',
        'rollback to s',
        'rollback to savepoint s',
        'rollback work to savepoint s',
        'ROLLBACK TRANSACTION TO s',
        'release savepoint s',
        'prepare transaction_plan as select 1',
        'deallocate transaction_plan',
      ]) {
        await tx.query(sql);
      }
      expect((await tx.query('select $1::int as n', [5])).rows).toEqual([{ n: 5 }]);
      expect((await tx.query({ text: 'select $1::int', values: [5], rowMode: 'array' })).rows).toEqual([[5]]);
      return insert();
    };
    const reply = await service.send({ key });
    expect(reply.body.errors).toBeUndefined();
  });

  test('what is no statement is refused', async () => {
    const refusals: unknown[] = [];
    act = async ({ tx, insert }) => {
      for (const nonsense of [undefined, null, 5, {}, { text: 5 }, { text: 'select 1', submit() {} }]) {
        refusals.push(await tx.query(nonsense as unknown as string).catch((error: unknown) => error));
      }
      return insert();
    };
    expect((await service.send({ key })).status).toBe(200);
    for (const refusal of refusals) expect(refusal).toBeInstanceOf(TypeError);
  });

  test("savepoints are the resolver's own business", async () => {
    const before = await amounts();
    act = async ({ tx }) => {
      const insert = (amount: number) => tx.query('insert into payments (amount) values ($1)', [amount]);
      await insert(1);
      await tx.query('savepoint outer_one');
      await insert(2);
      await tx.query('savepoint inner_one');
      await expect(tx.query('select 1/0')).rejects.toThrow('division by zero');
      await tx.query('rollback to savepoint inner_one');
      await insert(3);
      await tx.query('rollback to outer_one');
      await insert(4);
      return { id: '1', amount: 4 };
    };
    expect((await service.send({ key })).status).toBe(200);
    expect(await amounts()).toEqual([...before, 1, 4]);
    expect((await service.send({ key })).headers.get('idempotent-replayed')).toBe('true');
  });

  test('a swallowed SQL error is never a success; once mended, a retry executes', async () => {
    const before = await amounts();
    act = async ({ tx, insert }) => {
      const payment = await insert();
      await tx.query('select 1/0').catch(() => {});
      return payment;
    };
    const broken = await service.send({ key });
    expectRefusal(broken, 'TRANSACTION_BROKEN', 500);
    expect(broken.body.errors[0].message).toMatch(/rolled back.*savepoint/);
    expect(await amounts()).toEqual(before);
    act = ({ insert }) => insert();
    expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('executed');
    expect(await amounts()).toEqual([...before, 100]);
  });

  test('a failing query that nobody awaits is never a success, and does not end the process', async () => {
    const before = await amounts();
    act = async ({ tx, insert }) => {
      const payment = await insert();
      void tx.query('select 1/0');
      return payment;
    };
    expectRefusal(await service.send({ key }), 'TRANSACTION_BROKEN', 500);
    expect(await amounts()).toEqual(before);
  });

  test('a query that nobody awaits commits with the others', async () => {
    const before = await amounts();
    act = ({ insert, tx }) => {
      void tx.query('select pg_sleep(0.05)');
      void insert();
      return { id: '0', amount: 0 };
    };
    expect((await service.send({ key })).status).toBe(200);
    expect(await amounts()).toEqual([...before, 100]);
  });

  test('one failure among many queries leaks none of them into what comes next', async () => {
    const before = await amounts();
    let others: Promise<PromiseSettledResult<unknown>[]> | undefined;
    act = async ({ tx }) => {
      const all = [
        tx.query('select pg_sleep(0.02)'),
        tx.query('select 1/0'),
        ...[1, 2, 3].map((n) => tx.query('insert into payments (amount) values ($1)', [-n])),
        tx.query('savepoint late'),
      ];
      others = Promise.allSettled(all);
      await Promise.all(all);
    };
    const failed = await service.send({ key });
    expect(failed.body.data).toEqual({ pay: null });
    expect((await others)?.map(({ status }) => status)).toEqual([
      'fulfilled',
      ...Array.from({ length: 5 }, () => 'rejected'),
    ]);
    act = ({ insert }) => insert();
    expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('executed');
    expect(await amounts()).toEqual([...before, 100]);
  });

  test.each(['returns', 'throws'])('its handle is dead once the resolver %s', async (how) => {
    const before = await amounts();
    let handle: PayCall['tx'] | undefined;
    act = async ({ tx, insert }) => {
      handle = tx;
      const payment = await insert();
      if (how === 'throws') throw new Error('no');
      return payment;
    };
    await service.send({ key });
    const late = (): Promise<unknown> => handle!.query('insert into payments (amount) values (-1)');
    await expect(late()).rejects.toThrow(/transaction is over/);
    // Not in another request's transaction either.
    const [reached, goOn] = [deferred(), deferred()];
    act = async ({ insert }) => {
      reached.resolve();
      await goOn.promise;
      return insert();
    };
    const next = service.send({ key: `${key}-next` });
    await reached.promise;
    await expect(late()).rejects.toThrow(/transaction is over/);
    goOn.resolve();
    expect((await next).status).toBe(200);
    expect(await amounts()).toEqual([...before, ...(how === 'throws' ? [100] : [100, 100])]);
  });

  test('a resolver that goes on without awaiting cannot write after its answer', async () => {
    const before = await amounts();
    const [answered, tried] = [deferred(), deferred<unknown>()];
    act = async ({ insert }) => {
      void answered.promise.then(() => insert()).then(tried.resolve, tried.resolve);
      return { id: '0', amount: 0 };
    };
    expect((await service.send({ key })).status).toBe(200);
    answered.resolve();
    expect(await tried.promise).toBeInstanceOf(Error);
    expect(await amounts()).toEqual(before);
  });
});
