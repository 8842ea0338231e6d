/** Whatever a resolver does to its transaction, there is never a success that is not committed. */

import { FinalError } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../support/database.ts';
import { type PayCall, type Service, startService } from '../../support/service.ts';
import { deferred } from '../../support/signal.ts';
import { expectOnePayment, outcomeOf, paidFor, pay, shortTimeouts } from './retries.ts';

let database: TestDatabase;
let service: Service;
/** The client whose transaction runs now, which no resolver is given. */
let underneath: pg.PoolClient;
let resolver: (call: PayCall) => unknown;
const insertOnly = ({ insert }: PayCall): unknown => insert();

beforeAll(async () => {
  database = await createDatabase({ migrated: true });
  const pool = new pg.Pool({ connectionString: database.url, max: 3 });
  pool.on('error', () => {});
  pool.on('acquire', (client) => {
    underneath = client;
  });
  service = await startService({
    databaseUrl: database.url,
    options: { ...shortTimeouts, postgres: pool, migrate: false },
    pay: (call) => resolver(call),
  });
  await underneath.query(`
    create table accounts (id integer primary key);
    create table transfers (account integer constraint transfers_account_fkey
      references accounts deferrable initially deferred);
    create table lingering (id integer);
    create function linger() returns trigger language plpgsql as 'begin perform pg_sleep(0.2); return null; end';
    create constraint trigger linger after insert on lingering deferrable initially deferred
      for each row execute function linger()`);
  afterAllDone = async () => {
    await service.stop();
    await pool.end();
    await database.drop();
  };
});
let afterAllDone: () => Promise<void>;
afterAll(() => afterAllDone());

beforeEach(() => {
  resolver = insertOnly;
});

describe('a resolver that throws', () => {
  it('rolls back and stores nothing: the client gets its error, and a retry executes', async () => {
    resolver = async ({ insert }) => {
      await insert();
      throw new Error('no luck');
    };
    const reply = await pay(service, 'throws');
    expect(reply.body.errors[0].message).toBe('no luck');
    expect(await paidFor(service, 'throws')).toBe(0);
    resolver = insertOnly;
    await expectOnePayment(service, 'throws', 'executed');
  });

  it('an Error that is returned is an error thrown', async () => {
    resolver = async ({ insert }) => {
      await insert();
      return new Error('no luck either');
    };
    expect((await pay(service, 'returns-error')).body.errors[0].message).toBe('no luck either');
    expect(await paidFor(service, 'returns-error')).toBe(0);
  });

  it('a final error rolls back, is stored, and is the answer from then on', async () => {
    resolver = async ({ insert }) => {
      await insert();
      throw new FinalError('card declined', { extensions: { code: 'DECLINED' } });
    };
    const first = await pay(service, 'final');
    resolver = insertOnly;
    const again = await pay(service, 'final');
    expect([first, again].map(({ code }) => code)).toEqual(['DECLINED', 'DECLINED']);
    expect([first, again].map(outcomeOf)).toEqual(['executed', 'replayed']);
    expect(await paidFor(service, 'final')).toBe(0);
  });
});

describe('a resolver that goes on after a failed statement', () => {
  it('gets TRANSACTION_BROKEN, never a success', async () => {
    resolver = async ({ tx, insert }) => {
      const payment = await insert();
      await tx.query('select 1 / 0').catch(() => {});
      return payment;
    };
    const reply = await pay(service, 'swallows');
    expect([reply.status, reply.code]).toEqual([500, 'IDEMPOTENCY_TRANSACTION_BROKEN']);
    expect(reply.body.errors[0].extensions.retryable).toBe(false);
    expect(reply.body.errors[0].message).toMatch(/was rolled back/);
    expect(await paidFor(service, 'swallows')).toBe(0);
    resolver = insertOnly;
    await expectOnePayment(service, 'swallows', 'executed');
  });

  it('nor when the failed statement is one that it left behind', async () => {
    resolver = async ({ tx, insert }) => {
      const payment = await insert();
      void tx.query('select pg_sleep(0.05), 1 / 0');
      return payment;
    };
    expect((await pay(service, 'leaves-behind')).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(await paidFor(service, 'leaves-behind')).toBe(0);
  });

  it('with a savepoint of its own, all is well', async () => {
    resolver = async ({ tx, insert }) => {
      await tx.query('savepoint mine');
      await tx.query('select 1 / 0').catch(() => {});
      await tx.query('rollback to savepoint mine');
      return insert();
    };
    await expectOnePayment(service, 'savepoint', 'executed');
  });

  it('after ROLLBACK TO, a duplicate is still refused while it runs: the lock has survived', async () => {
    const gate = deferred();
    const ready = deferred();
    resolver = async ({ tx, insert }) => {
      await tx.query('savepoint mine');
      await tx.query('rollback to savepoint mine');
      ready.resolve();
      await gate.promise;
      return insert();
    };
    const first = pay(service, 'savepoint-lock');
    await ready.promise;
    const elsewhere = await startService({
      databaseUrl: database.url,
      options: { ...shortTimeouts, migrate: false },
    });
    expect(outcomeOf(await pay(elsewhere, 'savepoint-lock'))).toBe('IDEMPOTENCY_IN_PROGRESS');
    gate.resolve();
    expect(outcomeOf(await first)).toBe('executed');
    await expectOnePayment(elsewhere, 'savepoint-lock', 'replayed');
    await elsewhere.stop();
  });
});

describe('a statement that Postgres cancels', () => {
  it.each(['thrown', 'wrapped in a final error', 'forgotten behind a final error'])(
    'is TRANSACTION_ABORTED, retryable, when it is %s',
    async (how) => {
      const key = `cancelled-${how.replaceAll(' ', '-')}`;
      resolver = async ({ tx, insert }) => {
        await insert();
        await tx.query('set local statement_timeout = 20');
        await tx.query('select pg_sleep(10)').catch((cause: unknown) => {
          if (how === 'thrown') throw cause;
          if (how === 'wrapped in a final error') throw new FinalError('failed', { cause });
          throw new FinalError('failed');
        });
      };
      const reply = await pay(service, key);
      expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_TRANSACTION_ABORTED']);
      expect(reply.body.errors[0].message).not.toMatch(/statement|timeout/);
      expect(await paidFor(service, key)).toBe(0);
      resolver = insertOnly;
      await expectOnePayment(service, key, 'executed');
    },
  );

  it('is TRANSACTION_BROKEN when it is swallowed', async () => {
    resolver = async ({ tx, insert }) => {
      await tx.query('set local statement_timeout = 20');
      await tx.query('select pg_sleep(10)').catch(() => {});
      return insert().catch(() => ({ id: '1', amount: 1, note: null }));
    };
    expect((await pay(service, 'cancel-swallowed')).code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(await paidFor(service, 'cancel-swallowed')).toBe(0);
  });

  it('but a final error after a savepoint has undone the failure is final', async () => {
    resolver = async ({ tx }) => {
      await tx.query('savepoint mine');
      await tx.query('set local statement_timeout = 20');
      await tx.query('select pg_sleep(10)').catch(() => {});
      await tx.query('rollback to savepoint mine');
      throw new FinalError('declined', { extensions: { code: 'DECLINED' } });
    };
    expect((await pay(service, 'undone')).code).toBe('DECLINED');
    resolver = insertOnly;
    expect((await pay(service, 'undone')).code).toBe('DECLINED');
  });

  it('is never the record statement or COMMIT because of a timeout that the resolver has set', async () => {
    resolver = async ({ tx, insert }) => {
      await tx.query('insert into lingering values (1)');
      const payment = await insert();
      await tx.query('set local statement_timeout = 60');
      return payment;
    };
    await expectOnePayment(service, 'short-timeout', 'executed');
  });
});

describe('a resolver that has settled', () => {
  it('has no transaction any more, neither its own nor the next one on its connection', async () => {
    let leaked: PayCall | undefined;
    resolver = (call) => {
      leaked = call;
      return call.insert();
    };
    await expectOnePayment(service, 'leaks', 'executed');
    await expect(leaked!.insert()).rejects.toThrow(/over/);
    resolver = async ({ insert }) => {
      await expect(leaked!.insert()).rejects.toThrow(/over/);
      return insert();
    };
    await expectOnePayment(service, 'leaked-into', 'executed');
    expect(await paidFor(service, 'leaks')).toBe(1);
  });

  it('without waiting for its queries commits them all the same', async () => {
    resolver = ({ tx, insert }) => {
      void tx.query('select pg_sleep(0.05)');
      void insert();
      return { id: '1', amount: 100, note: 'unawaited' };
    };
    await expectOnePayment(service, 'unawaited', 'executed');
  });
});

describe('a resolver that ends its transaction', () => {
  it.each(['begin', 'commit', 'rollback', 'end', 'abort', "prepare transaction 'p'", 'select 1; commit'])(
    'is refused: %s',
    async (command) => {
      const key = `refused-${command.replaceAll(/\W/g, '-')}`;
      resolver = async ({ tx, insert }) => {
        await insert();
        await tx.query(command);
      };
      expect((await pay(service, key)).body.errors[0].message).toMatch(/tx\.query refuses/);
      expect(await paidFor(service, key)).toBe(0);
      resolver = insertOnly;
      await expectOnePayment(service, key, 'executed');
    },
  );

  it.each(['commit', 'commit and chain', 'commit; begin'])(
    'in spite of everything, by %s, has an effect that is never repeated: the error is final',
    async (command) => {
      const key = `underneath-${command.replaceAll(/\W/g, '-')}`;
      resolver = async ({ insert }) => {
        const payment = await insert();
        await underneath.query(command);
        return payment;
      };
      const runs = service.runs();
      const first = await pay(service, key);
      const again = await pay(service, key);
      expect([first, again].map(({ code }) => code)).toEqual(Array(2).fill('IDEMPOTENCY_TRANSACTION_BROKEN'));
      expect(first.body.errors[0].message).toMatch(/may be committed/);
      expect(service.runs()).toBe(runs + 1);
      expect(await paidFor(service, key)).toBe(1);
    },
  );

  it('and then throws, is no different', async () => {
    resolver = async ({ insert }) => {
      await insert();
      await underneath.query('commit');
      throw new Error('no luck');
    };
    const first = await pay(service, 'commits-and-throws');
    const again = await pay(service, 'commits-and-throws');
    expect([first, again].map(({ code }) => code)).toEqual(Array(2).fill('IDEMPOTENCY_TRANSACTION_BROKEN'));
    expect(await paidFor(service, 'commits-and-throws')).toBe(1);
  });
});

describe('a constraint that fails at COMMIT', () => {
  it('is not remembered: nothing is committed, and the retry executes', async () => {
    resolver = async ({ tx, insert }) => {
      await tx.query('insert into transfers values (1)');
      return insert();
    };
    const reply = await pay(service, 'deferred');
    expect(reply.code).toBe('IDEMPOTENCY_TRANSACTION_BROKEN');
    expect(JSON.stringify(reply.body)).not.toMatch(/transfers/);
    expect(await paidFor(service, 'deferred')).toBe(0);
    await underneath.query('insert into accounts values (1)');
    await expectOnePayment(service, 'deferred', 'executed');
  });
});
