/** The blocks about work without GraphQL run, and do what the text around them says. */

import type { Idempotency } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { guardOptionNames } from '../../src/guard/direct/read-call.ts';
import { createDatabase, redisUrl } from '../support/database.ts';
import { deferred } from '../support/signal.ts';
import { startBank } from './bank.ts';
import { codeBlocks, readDocument, tableAfter } from './documents.ts';
import { writeModules } from './modules.ts';
import type { Context, world as preludeWorld } from './prelude.ts';
import { app, mailer, queue } from './workers.ts';

const modules = writeModules();
const database = await createDatabase({ migrated: true });
const owner = new pg.Pool({ connectionString: database.url, max: 1 });
const bank = await startBank();
let world: typeof preludeWorld;
let idempotency: Idempotency<Context>;

beforeAll(async () => {
  vi.stubEnv('DATABASE_URL', database.url);
  vi.stubEnv('REDIS_URL', redisUrl());
  vi.stubEnv('BANK_URL', bank.url);
  for (const level of ['info', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockImplementation(() => {});
  await owner.query(codeBlocks('sql', 'README.md')[0]!.code);
  // Not before: it reads the environment.
  ({ idempotency, world } = await import('./prelude.ts'));
});

beforeEach(async () => {
  world.calls.length = 0;
  await owner.query('truncate payments');
});

afterAll(async () => {
  await idempotency.close();
  bank.close();
  await owner.end();
  await database.drop();
  modules.remove();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const payments = async (): Promise<{ user_id: string; amount_cents: number }[]> =>
  (await owner.query('select user_id, amount_cents from payments order by id')).rows;

test('the table of options has each option of guard(), and no other', () => {
  const rows = tableAfter(readDocument('docs/without-graphql.md'), ['option', 'default', 'meaning']);
  const names = rows.map(([name]) => name!.replaceAll('`', ''));
  expect(names.toSorted()).toEqual([...guardOptionNames].toSorted());
});

test('guard.ts: a retry gets the first value', async () => {
  const { capture } = await modules.load<{ capture: (...call: [string, string, number]) => Promise<number> }>(
    'guard.ts',
  );
  expect(await capture('alice', 'order-1', 5)).toBe(5);
  expect(await capture('alice', 'order-1', 5)).toBe(5);
  expect(world.calls).toEqual(['log order-1 was executed', 'log order-1 was replayed']);
  expect(await payments()).toHaveLength(1);
});

test('consume.ts: a message that is delivered twice is booked once', async () => {
  const block = await modules.load<{ consume: (message: object) => Promise<void> }>('consume.ts');
  const message = { id: 'message-1', user: 'ann', amountCents: 3 };
  for (const _ of ['first', 'second']) await block.consume(message);
  expect(await payments()).toEqual([{ user_id: 'ann', amount_cents: 3 }]);
});

test('joined.ts: what is written three calls down is gone with the attempt, or stays with it', async () => {
  type Charge = (source: unknown, args: { amountCents: number }, context: Context) => Promise<unknown>;
  const { charge } = await modules.load<{ charge: Charge }>('joined.ts');
  const call = (fails: boolean) =>
    idempotency.guard({ scope: 'ann', key: 'joined' }, async () => {
      const payment = await charge(undefined, { amountCents: 4 }, { user: 'ann' } as Context);
      if (fails) throw new Error('rolled back');
      return payment;
    });
  await expect(call(true)).rejects.toThrow('rolled back');
  expect(await payments()).toEqual([]);
  expect((await call(false)).value).toMatchObject({ amountCents: 4 });
  expect(await payments()).toEqual([{ user_id: 'ann', amount_cents: 4 }]);
});

describe('rest-handler.ts', () => {
  let url: string;
  let close: () => void;
  beforeAll(async () => {
    await modules.load('rest-handler.ts');
    ({ url, close } = await app.listen());
  });
  afterAll(() => close());

  async function send(key: string | undefined, amountCents: number, user = 'alice') {
    const response = await fetch(`${url}/captures`, {
      method: 'POST',
      headers: { authorization: `Bearer ${user}`, ...(key === undefined ? {} : { 'idempotency-key': key }) },
      body: JSON.stringify({ amountCents }),
    });
    const { status, headers } = response;
    const body = (await response.json()) as { code?: string };
    return { status, body, code: body.code, headers };
  }

  test('a retry gets the first response, marked as a replay', async () => {
    const first = await send('captured', 5);
    const again = await send('captured', 5);
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.body).toEqual(first.body);
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect((await send('captured', 5, 'bob')).headers.get('idempotent-replayed')).toBeNull();
    expect(await payments()).toHaveLength(2);
  });

  test('refusals have the status and the code of the table', async () => {
    await send('refused', 5);
    expect(await send('refused', 6)).toMatchObject({ status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await send(undefined, 5)).toMatchObject({ status: 400, code: 'IDEMPOTENCY_KEY_MISSING' });
    expect(await send('with space', 5)).toMatchObject({ status: 400, code: 'IDEMPOTENCY_KEY_INVALID' });
    expect(await send('quoted', 5)).toMatchObject({ status: 201 });
    expect((await send('"quoted"', 5)).headers.get('idempotent-replayed')).toBeNull();
  });

  test('who is told that it is in progress is told when to come again', async () => {
    const [begun, held] = [deferred(), deferred()];
    const other = idempotency.guard({ name: 'other', scope: 'alice', key: 'busy' }, async () => {
      begun.resolve();
      await held.promise;
    });
    await begun.promise;
    const busy = await send('busy', 5);
    held.resolve();
    await other;
    expect(busy).toMatchObject({ status: 409, code: 'IDEMPOTENCY_IN_PROGRESS' });
    expect(busy.headers.get('retry-after')).toBe('1');
  });

  test('a declined card is declined again, and what else fails is tried again', async () => {
    for (const _ of ['first', 'second'])
      expect(await send('declined', 200_000)).toMatchObject({ status: 422, code: 'CARD_DECLINED' });
    expect((await send('failed', 0.5)).status).toBe(500);
    expect(await payments()).toEqual([]);
  });
});

test('queue-consumer.ts: a message that is delivered again is acknowledged, and booked once', async () => {
  await modules.load('queue-consumer.ts');
  const order = { user: 'ann', amountCents: 7 };
  expect(await queue.deliver('m1', order)).toBe('acknowledged');
  expect(await queue.deliver('m1', order)).toBe('acknowledged');
  expect(await payments()).toEqual([{ user_id: 'ann', amount_cents: 7 }]);
  // Another message under an id that was used, and one that is refused for good.
  expect(await queue.deliver('m1', { user: 'ann', amountCents: 8 })).toBe('discarded');
  for (const _ of ['first', 'second'])
    expect(await queue.deliver('m2', { user: 'ann', amountCents: -1 })).toBe('discarded');
  // What fails is delivered again.
  expect(await queue.deliver('m3', { user: null, amountCents: 9 })).toBe('redelivered');
  expect(await payments()).toHaveLength(1);
  const [begun, held] = [deferred(), deferred()];
  const other = idempotency.guard({ scope: 'queue orders', key: 'm4' }, async () => {
    begun.resolve();
    await held.promise;
    throw new Error('failed after all');
  });
  await begun.promise;
  expect(await queue.deliver('m4', order)).toBe('redelivered');
  held.resolve();
  await expect(other).rejects.toThrow('failed after all');
  expect(await queue.deliver('m4', order)).toBe('acknowledged');
});

test('cron-job.ts: it goes on behind what is done, and a day is done once', async () => {
  const { sendStatements } = await modules.load<{ sendStatements: (day: string) => Promise<void> }>(
    'cron-job.ts',
  );
  mailer.failsFor = 'ben';
  await expect(sendStatements('2026-01-02')).rejects.toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
  await sendStatements('2026-01-02');
  await sendStatements('2026-01-02');
  expect(world.calls).toEqual([
    'log 2026-01-02: 2 statements, executed',
    'log 2026-01-02: 2 statements, replayed',
  ]);
  expect(mailer.sent.map(([user]) => user)).toEqual(['ann', 'ben', 'ben']);
  expect(new Set(mailer.sent.map(([, key]) => key)).size).toBe(2);
  // Two machines at once: one of them does it, and neither complains.
  mailer.sent.length = 0;
  await Promise.all([sendStatements('2026-01-03'), sendStatements('2026-01-03')]);
  expect(mailer.sent.map(([user]) => user)).toEqual(['ann', 'ben']);
});

test('recover-by-name.ts: a payment that the bank shows is not made again', async () => {
  const block = await modules.load<{
    idempotency: Idempotency<Context>;
    payInvoice: (invoice: string, amountCents: number) => Promise<string>;
  }>('recover-by-name.ts');
  bank.whims = [{ pays: true, status: 500 }];
  await expect(block.payInvoice('i1', 5)).rejects.toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
  expect(await block.payInvoice('i1', 5)).toBe('payment 1');
  bank.whims = [{ pays: false, status: 500 }];
  for (const _ of ['first', 'second'])
    await expect(block.payInvoice('i2', 5)).rejects.toMatchObject({ code: 'IDEMPOTENCY_OUTCOME_UNKNOWN' });
  expect(bank.asked).toHaveLength(2);
  await block.idempotency.close();
});

test('stop-working.ts: the signal stops the queue, then the instance', async () => {
  const before = process.listeners('SIGTERM');
  await modules.load('stop-working.ts');
  const [stop] = process.listeners('SIGTERM').filter((listener) => !before.includes(listener));
  const closed = vi.spyOn(idempotency, 'close');
  await (stop as () => Promise<void>)();
  expect(closed).toHaveBeenCalledTimes(1);
  await expect(queue.deliver('m9', {})).rejects.toThrow();
  process.removeListener('SIGTERM', stop!);
});
