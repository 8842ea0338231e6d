/** What ends a waiting early, and what a waiting costs. */

import { request } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import type { IdempotencyOptions } from 'graphql-idempotency';
import { startPostgresProxy } from '../support/postgres-proxy.ts';
import type { ServiceContext } from '../support/service.ts';
import { deferred, eventually, within } from '../support/signal.ts';
import { executed, leaseCase, replayed, said } from '../recovery/lease-case.ts';
import type { FieldName, Instance, LeaseCase } from '../recovery/lease-case.ts';

type Options = Partial<IdempotencyOptions<ServiceContext>>;

interface Busy extends LeaseCase {
  /** Executes key `a`, with the argument 1, until `finish`. */
  readonly owner: Instance;
  readonly answer: Promise<unknown>;
  readonly finish: () => void;
}

/** Another instance's call is in flight, and stays so. */
async function busy(field: FieldName): Promise<Busy> {
  const environment = await leaseCase();
  const [begun, held] = [deferred(), environment.hold()];
  const owner = await environment.start({
    work: async (_, n) => {
      begun.resolve();
      await held.promise;
      return n;
    },
  });
  const answer = owner.call(field, 'a').then(said);
  expect(await Promise.race([begun.promise, answer])).toBeUndefined();
  return { ...environment, owner, answer, finish: () => held.resolve(undefined) };
}

const BOTH = ['waitLease', 'waitTx'] as const;
const LONG: Options = { waitTimeout: 25_000 };

/** Sends a call that its client can give up. */
function abandonable({ url }: Instance, field: FieldName, key: string) {
  const body = JSON.stringify({ query: `mutation { ${field}(n: 1) }` });
  const sent = request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer alice', 'idempotency-key': key },
  });
  sent.on('error', () => {});
  sent.end(body);
  return { giveUp: () => sent.destroy() };
}

test.each(BOTH)('%s: the client’s going away ends its waiting, and not the work', async (field) => {
  const { start, answer, finish } = await busy(field);
  const asked = deferred<AbortSignal>();
  const waiter = await start({
    options: {
      ...LONG,
      clientSignal: ({ gone }) => {
        asked.resolve(gone);
        return gone;
      },
    },
  });
  const { giveUp } = abandonable(waiter, field, 'a');
  const signal = await asked.promise;
  giveUp();
  await eventually(() => signal.aborted);
  // Nothing is under way any more, though the first call is: a server that closes has nothing to wait for.
  const begun = performance.now();
  await within(waiter.idempotency.close());
  expect(performance.now() - begun).toBeLessThan(8000);
  finish();
  expect(await answer).toEqual(executed(1));
});

test.each(BOTH)('%s: a client that goes away while its own call executes changes nothing', async (field) => {
  const { start, hold, client } = await leaseCase();
  const [begun, held] = [deferred<AbortSignal>(), hold()];
  let gone: AbortSignal | undefined;
  const instance = await start({
    options: { ...LONG, clientSignal: (context) => (gone = context.gone) },
    work: async (_, n) => {
      begun.resolve(gone!);
      await held.promise;
      return n;
    },
  });
  const { giveUp } = abandonable(instance, field, 'a');
  const signal = await begun.promise;
  giveUp();
  await eventually(() => signal.aborted);
  held.resolve(undefined);
  await eventually(async () => {
    const { rows } = await client.query(`select state from graphql_idempotency.record`);
    return rows[0]?.state === 'completed';
  });
  expect(said(await instance.call(field, 'a'))).toEqual(replayed(1));
  expect(instance.executed).toEqual([1]);
});

test('nobody is asked about the client of a call that does not wait', async () => {
  const { start } = await leaseCase();
  let asked = 0;
  const instance = await start({ options: { clientSignal: () => void (asked += 1) } });
  expect(said(await instance.call('refuse', 'a'))).toEqual(executed(1));
  expect(asked).toBe(0);
});

test('a client that has gone before is not waited for: it is refused at once', async () => {
  const { start } = await busy('waitLease');
  const waiter = await start({ options: { ...LONG, clientSignal: () => AbortSignal.abort() } });
  expect(said(await within(waiter.call('waitLease', 'a'), { timeoutMs: 5000 }))).toBe('IN_PROGRESS');
});

test.each(BOTH)('%s: a server that stops ends the waiting at once', async (field) => {
  const { start, finish, answer } = await busy(field);
  const waiter = await start({ options: { ...LONG, drainTimeout: 20_000 } });
  const waiting = [1, 2, 3].map(() => waiter.call(field, 'a').then(said));
  await eventually(async () => said(await waiter.call(field, 'other')) !== undefined);
  const closing = waiter.idempotency.close();
  expect(await within(Promise.all(waiting), { timeoutMs: 5000 })).toEqual(waiting.map(() => 'IN_PROGRESS'));
  await within(closing, { timeoutMs: 5000 });
  finish();
  expect(await answer).toEqual(executed(1));
});

test.each(BOTH)(
  '%s: those who wait hold no connection: with a pool of one, other keys are served',
  async (field) => {
    const { start, url, finish, client } = await busy(field);
    const waiter = await start({
      options: {
        ...LONG,
        postgres: { connectionString: url, max: 1, application_name: 'waiter' },
        reservedPoolSize: 1,
        acquireTimeout: 5000,
      },
    });
    const waiting = Array.from({ length: 20 }, () => waiter.call(field, 'a').then(said));
    for (let index = 0; index < 10; index += 1) {
      expect(said(await waiter.call(field, `other-${index}`))).toEqual(executed(1));
    }
    const { rows } = await client.query(
      `select count(*)::int as n from pg_stat_activity where application_name = 'waiter'
     and state is distinct from 'idle'`,
    );
    expect(rows[0].n).toBeLessThanOrEqual(1);
    finish();
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => replayed(1)));
    expect(waiter.executed).toHaveLength(10);
  },
);

test.each(BOTH)('%s: fifty who wait here and fifty elsewhere all get the one answer', async (field) => {
  const { start, owner, url, answer, finish } = await busy(field);
  const proxy = await startPostgresProxy({ target: url });
  onTestFinished(() => proxy.close());
  const warnings: Error[] = [];
  const warn = (warning: Error): void => void warnings.push(warning);
  process.on('warning', warn);
  onTestFinished(() => void process.off('warning', warn));
  const waiter = await start({ options: { ...LONG, postgres: proxy.url } });
  const waiting = [
    ...Array.from({ length: 50 }, () => waiter.call(field, 'a').then(said)),
    ...Array.from({ length: 50 }, () => owner.call(field, 'a').then(said)),
  ];
  expect(said(await waiter.call(field, 'other'))).toEqual(executed(1));
  finish();
  expect(await answer).toEqual(executed(1));
  expect(await Promise.all(waiting)).toEqual(waiting.map(() => replayed(1)));
  expect([owner.executed, waiter.executed]).toEqual([[1], [1]]);
  // Such as of a signal to which more listen than Node finds right.
  expect(warnings).toEqual([]);
});

test('those who wait for a call of their own process ask the database nothing meanwhile', async () => {
  const { start, url, hold } = await leaseCase();
  const proxy = await startPostgresProxy({ target: url });
  onTestFinished(() => proxy.close());
  const [begun, held] = [deferred(), hold()];
  const instance = await start({
    options: { ...LONG, postgres: proxy.url },
    work: async (_, n) => {
      if (n === 2) return n;
      begun.resolve();
      await held.promise;
      return n;
    },
  });
  const answer = instance.call('waitLease', 'a').then(said);
  expect(await Promise.race([begun.promise, answer])).toBeUndefined();
  const claims = proxy.on({ from: 'client', sql: /claim_lease/ }, 'observe', 1000);
  let seen = 0;
  void claims.matched.then(() => (seen += 1));
  const waiting = Array.from({ length: 20 }, () => instance.call('waitLease', 'a').then(said));
  // A request that came later, and was answered: those before it have begun to wait.
  expect((await instance.send({ query: '{ ping }' })).body.data).toEqual({ ping: 'pong' });
  expect(seen).toBe(0);
  held.resolve(undefined);
  expect(await answer).toEqual(executed(1));
  expect(await Promise.all(waiting)).toEqual(waiting.map(() => replayed(1)));
});

test('a store that fails meanwhile ends the waiting with what it is', async () => {
  const { start, url } = await busy('waitLease');
  const proxy = await startPostgresProxy({ target: url });
  onTestFinished(() => proxy.close());
  const waiter = await start({
    options: { ...LONG, postgres: proxy.url, acquireTimeout: 1500, claimTimeout: 1500 },
  });
  const asked = proxy.on({ from: 'client', sql: /claim_lease/ }, 'observe');
  const waiting = waiter.call('waitLease', 'a').then(said);
  await within(asked.matched);
  await proxy.refuse();
  proxy.cut();
  expect(await within(waiting)).toBe('STORE_UNAVAILABLE');
});
