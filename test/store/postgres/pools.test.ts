/** Connections: bounded, given back clean or not at all, and never closed when they are somebody else's. */

import pg from 'pg';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../../support/database.ts';
import { startPostgresProxy } from '../../support/postgres-proxy.ts';
import { startService } from '../../support/service.ts';
import type { Service, ServiceOptions } from '../../support/service.ts';
import { deferred, eventually } from '../../support/signal.ts';
import { connect } from './connection.ts';

let url: string;
beforeAll(async () => {
  ({ url } = await createDatabase({ migrated: true }));
});

async function start(options: Omit<ServiceOptions, 'databaseUrl'>): Promise<Service> {
  const service = await startService({ databaseUrl: url, ...options });
  onTestFinished(() => service.stop());
  return service;
}

let keys = 0;
const newKey = (): string => `key-${(keys += 1)}`;

/** A resolver that waits inside its transaction until the test lets it go on. */
function gate(): {
  readonly pay: NonNullable<ServiceOptions['pay']>;
  readonly entered: () => number;
  readonly open: () => void;
} {
  const opened = deferred();
  let entered = 0;
  return {
    pay: async ({ args, insert }) => {
      entered += 1;
      if (args.note === 'wait') await opened.promise;
      return insert();
    },
    entered: () => entered,
    open: opened.resolve,
  };
}

const waiting = { variables: { note: 'wait' } };

async function connectionsOf(application: string): Promise<number> {
  const client = await connect(url);
  const { rowCount } = await client.query('select from pg_stat_activity where application_name = $1', [
    application,
  ]);
  return rowCount ?? 0;
}

describe('a pool of the user’s', () => {
  async function ownPool(config: pg.PoolConfig = {}): Promise<pg.Pool> {
    const pool = new pg.Pool({ connectionString: url, max: 2, ...config });
    pool.on('error', () => {});
    onTestFinished(() => (pool.ended ? undefined : pool.end()));
    return pool;
  }

  test('says how to connect, and is neither used, ended nor changed', async () => {
    const pool = await ownPool();
    const listeners = () => [...pool.eventNames()].map((name) => [name, pool.listenerCount(name)]);
    const before = listeners();
    const service = await startService({ databaseUrl: url, options: { postgres: pool } });
    const key = newKey();
    expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('executed');
    expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('replayed');
    expect((await service.send({ key, variables: { amount: 7 } })).code).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(pool.totalCount).toBe(0);
    await service.stop();
    expect(pool.ended).toBe(false);
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    expect(listeners()).toEqual(before);
  });

  test('what it does with a new connection is done with those of the attempts, too', async () => {
    const pool = await ownPool();
    pool.on('connect', (client) => void client.query(`set application_name = 'as the pool says'`));
    const named: unknown[] = [];
    const service = await start({
      options: { postgres: pool },
      pay: async ({ tx, insert }) => {
        named.push((await tx.query(`select current_setting('application_name') as name`)).rows[0]);
        return insert();
      },
    });
    await service.send({ key: newKey() });
    expect(named).toEqual([{ name: 'as the pool says' }]);
  });

  test('a resolver that queries it while it holds an attempt waits for no attempt', async () => {
    const pool = await ownPool({ max: 2 });
    const service = await start({
      options: { postgres: pool },
      pay: async ({ insert }) => {
        await pool.query('select 1');
        return insert();
      },
    });
    const answers = await Promise.all(Array.from({ length: 20 }, () => service.send({ key: newKey() })));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  });

  test('connections are as new after every attempt: no listeners, settings or transactions are left', async () => {
    const pool = await ownPool({ max: 1 });
    const clients: pg.PoolClient[] = [];
    pool.on('connect', (client) => clients.push(client));
    const service = await start({ options: { postgres: pool } });
    const state = async () => {
      const [client] = clients;
      const internals = client as unknown as { connection: pg.Client };
      const listeners = [client!, internals.connection].flatMap((emitter) =>
        emitter.eventNames().map((name) => `${String(name)}: ${emitter.listenerCount(name)}`),
      );
      const { rows } = await client!.query(
        `select current_setting('idempotency.attempt', true) as attempt, current_setting('transaction_timeout', true) as t,
          current_setting('statement_timeout') as s, current_setting('lock_timeout') as l, current_setting('role') as r,
          current_setting('idle_in_transaction_session_timeout') as i, pg_current_xact_id_if_assigned() as xact,
          (select count(*)::int from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as locks`,
      );
      return { listeners, ...rows[0], attempt: rows[0].attempt || undefined };
    };
    await service.idempotency.open();
    const before = await state();
    const key = newKey();
    for (let round = 0; round < 5; round += 1) await service.send({ key: newKey() });
    await service.send({ key });
    await service.send({ key });
    expect(await state()).toEqual(before);
  });

  test('is not the only way to Postgres: probes have connections of their own, with the same password', async () => {
    const pool = await ownPool({ max: 1, password: 'a password' });
    const proxy = await startPostgresProxy({ target: url });
    onTestFinished(() => proxy.close());
    const { hostname: host, port } = new URL(proxy.url);
    Object.assign(pool.options, { connectionString: undefined, host, port: Number(port), user: 'postgres' });
    Object.assign(pool.options, { database: new URL(url).pathname.slice(1) });
    const service = await start({ options: { postgres: pool, commitTimeout: 300, lockTimeout: 200 } });
    // COMMIT's answer is lost: only a second connection can find out.
    const lost = proxy.on({ from: 'server', tag: 'COMMIT' }, 'hold');
    const key = newKey();
    const answer = await service.send({ key });
    await lost.matched;
    expect(answer.status).toBe(200);
    expect((await service.send({ key })).headers.get('idempotent-replayed')).toBe('true');
    expect(service.runs()).toBe(1);
  });
});

test('how the application reads its own rows changes nothing for the library', async () => {
  const raw = { getTypeParser: () => (value: string | Buffer) => value };
  const pool = new pg.Pool({ connectionString: url, max: 2, types: raw as unknown as pg.CustomTypesConfig });
  onTestFinished(() => pool.end());
  const service = await start({
    options: { postgres: pool, migrate: false },
    pay: async ({ tx, insert }) => {
      // Through `tx` an application reads as it does elsewhere.
      expect((await tx.query('select 1 as one, true as yes')).rows).toEqual([{ one: '1', yes: 't' }]);
      return insert();
    },
  });
  const key = newKey();
  expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('executed');
  expect((await service.send({ key })).body.extensions.idempotency.pay.outcome).toBe('replayed');
  expect((await service.send({ key, variables: { amount: 7 } })).code).toBe('IDEMPOTENCY_KEY_REUSED');
  expect(service.runs()).toBe(1);
});

describe('a pool’s configuration', () => {
  test('is followed, its size too', async () => {
    const { hostname, port, pathname, username } = new URL(url);
    const { pay, entered, open } = gate();
    const postgres = {
      host: hostname,
      port: Number(port),
      database: pathname.slice(1),
      user: username,
      max: 1,
      application_name: 'of-one',
    };
    const service = await start({ pay, options: { postgres, poolSize: 5, migrate: false } });
    const first = service.send({ key: newKey(), ...waiting });
    await eventually(() => entered() === 1);
    const second = service.send({ key: newKey() });
    // The second waits for the only connection: nothing is lost but time.
    expect(await connectionsOf('of-one')).toBe(1);
    open();
    expect((await Promise.all([first, second])).map(({ status }) => status)).toEqual([200, 200]);
  });

  test('its connections end with the last server that uses the instance', async () => {
    const service = await startService({
      databaseUrl: url,
      options: { postgres: { connectionString: url, application_name: 'ends' } },
    });
    await service.send({ key: newKey() });
    expect(await connectionsOf('ends')).toBeGreaterThan(0);
    await service.stop();
    await eventually(async () => (await connectionsOf('ends')) === 0);
  });
});

describe('when every connection is taken', () => {
  test('so many calls wait as the queue may hold, further ones are refused at once, and none of them is lost', async () => {
    const { pay, entered, open } = gate();
    const service = await start({ pay, options: { poolSize: 1, poolQueueSize: 2, acquireTimeout: 20_000 } });
    const first = service.send({ key: newKey(), ...waiting });
    await eventually(() => entered() === 1);
    const others = Array.from({ length: 6 }, newKey).map((key) => ({ key, reply: service.send({ key }) }));
    const refused = new Set<string>();
    for (const { key, reply } of others) {
      void reply.then(({ status, code }) => {
        if (status === 503 && code === 'IDEMPOTENCY_STORE_UNAVAILABLE') refused.add(key);
      });
    }
    await eventually(() => refused.size === 4);
    expect(entered()).toBe(1);
    open();
    expect((await first).status).toBe(200);
    const replies = await Promise.all(others.map(({ reply }) => reply));
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(2);
    expect(replies.filter(({ status }) => status === 503)).toHaveLength(4);
    for (const key of refused) expect((await service.send({ key })).status).toBe(200);
    expect(service.runs()).toBe(7);
  });

  test('a queue of nothing refuses who would wait, and nobody else', async () => {
    const { pay, entered, open } = gate();
    const service = await start({ pay, options: { poolSize: 2, poolQueueSize: 0 } });
    const held = [service.send({ key: newKey(), ...waiting }), service.send({ key: newKey(), ...waiting })];
    await eventually(() => entered() === 2);
    expect((await service.send({ key: newKey() })).code).toBe('IDEMPOTENCY_STORE_UNAVAILABLE');
    open();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200]);
    expect((await service.send({ key: newKey() })).status).toBe(200);
  });

  test('a call waits no longer than acquireTimeout, and what comes later goes back to the pool', async () => {
    const { pay, entered, open } = gate();
    const pool = new pg.Pool({ connectionString: url, max: 1 });
    onTestFinished(() => pool.end());
    const service = await start({ pay, options: { postgres: pool, acquireTimeout: 1500 } });
    const first = service.send({ key: newKey(), ...waiting });
    await eventually(() => entered() === 1);
    const late = await service.send({ key: newKey() });
    expect([late.status, late.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
    expect(late.headers.get('retry-after')).toBe('1');
    open();
    expect((await first).status).toBe(200);
    expect((await service.send({ key: newKey() })).status).toBe(200);
    expect(pool.waitingCount).toBe(0);
    expect(entered()).toBe(2);
  });
});

test('a connection whose deadline passed is never used again', async () => {
  const proxy = await startPostgresProxy({ target: url });
  onTestFinished(() => proxy.close());
  const service = await start({ options: { postgres: proxy.url, poolSize: 1, claimTimeout: 1000 } });
  const stalled = proxy.on({ from: 'server', type: 'ReadyForQuery' }, 'hold');
  const key = newKey();
  const late = await service.send({ key });
  await stalled.matched;
  expect([late.status, late.code]).toEqual([503, 'IDEMPOTENCY_STORE_UNAVAILABLE']);
  // The old connection still stalls: whoever got it would wait for answers that are not his.
  expect((await service.send({ key: newKey() })).status).toBe(200);
  stalled.release();
  // Its lock goes with it.
  await eventually(async () => (await service.send({ key })).status === 200);
  expect(service.runs()).toBe(2);
});

test('a session that is ended while its resolver runs ends the attempt, and not the process', async () => {
  const service = await start({
    pay: async ({ tx, args, insert }) => {
      await insert();
      if (args.note !== 'die') return insert();
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
      const client = await connect(url);
      await client.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
      return new Promise(() => {});
    },
  });
  const reply = await service.send({ key: newKey(), variables: { amount: 4711, note: 'die' } });
  expect([reply.status, reply.code]).toEqual([503, 'IDEMPOTENCY_TRANSACTION_ABORTED']);
  expect((await service.payments()).filter(({ amount }) => amount === 4711)).toEqual([]);
  expect((await service.send({ key: newKey() })).status).toBe(200);
});
