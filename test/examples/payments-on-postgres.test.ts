/** The payments example on a Postgres server with Redis in front. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase, redisPrefix, redisUrl } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { forgetProcess, watchProcess } from '../support/janitor.ts';
import { eventually, within } from '../support/signal.ts';
import { charge, cleanEnvironment, outcomeOf, send, startPayments } from './payments.ts';
import type { Payments } from './payments.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
let database: TestDatabase;
let env: Record<string, string>;
let client: Client;
let one: Payments;
let other: Payments;

beforeAll(async () => {
  database = await createDatabase();
  env = {
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl(),
    IDEMPOTENCY_REDIS_PREFIX: redisPrefix(),
    // Nobody is paid out here, so that no server needs a provider of its own.
    PROVIDER_URL: 'http://127.0.0.1:9/',
  };
  // Both at once, on a database without a single table.
  [one, other] = await Promise.all([
    startPayments({ env, until: 'file' }),
    startPayments({ env, until: 'file' }),
  ]);
  client = new Client({ connectionString: database.url });
  await client.connect();
});

afterAll(() => client?.end());

describe('payments on Postgres', () => {
  it('are charged once and answered again, by any of the servers that share the database', async () => {
    const first = await charge(one.url, { key: 'once', amountCents: 1250, reference: 'order 7' });
    expect(first).toMatchObject({
      status: 200,
      body: { data: { charge: { amountCents: 1250, currency: 'EUR', reference: 'order 7' } } },
    });
    expect(outcomeOf(first)).toBe('executed');

    const again = await charge(other.url, { key: 'once', amountCents: 1250, reference: 'order 7' });
    expect(outcomeOf(again)).toBe('replayed');
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.body.data).toEqual(first.body.data);

    const { rows } = await client.query(
      `select id, amount_cents, currency, reference, user_id, created_at from payments where reference = 'order 7'`,
    );
    const { id, createdAt } = first.body.data!['charge'] as { id: string; createdAt: string };
    expect(rows).toEqual([
      {
        id,
        amount_cents: 1250,
        currency: 'EUR',
        reference: 'order 7',
        user_id: 'alice',
        created_at: new Date(createdAt),
      },
    ]);
  });

  it('are charged once when copies reach both servers at once', async () => {
    const copies = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        charge(index % 2 === 0 ? one.url : other.url, { user: 'dora', key: 'burst' }),
      ),
    );
    const outcomes = copies.map(outcomeOf);
    expect(outcomes.filter((outcome) => outcome === 'executed')).toHaveLength(1);
    expect(
      outcomes.filter((outcome) => !/^(executed|replayed|IDEMPOTENCY_IN_PROGRESS)$/.test(String(outcome))),
    ).toEqual([]);
    const { rowCount } = await client.query(`select 1 from payments where user_id = 'dora'`);
    expect(rowCount).toBe(1);
  });

  it("are the user's own to read, as is the key to use", async () => {
    const bob = await charge(one.url, { user: 'bob', key: 'shared', amountCents: 300 });
    const carol = await charge(one.url, { user: 'carol', key: 'shared', amountCents: 400 });
    expect([outcomeOf(bob), outcomeOf(carol)]).toEqual(['executed', 'executed']);
    await charge(one.url, { user: 'bob', key: 'more', amountCents: 50, reference: 'second' });

    const query = '{ payments { amountCents reference } balance }';
    expect((await send(other.url, { user: 'bob', query })).body.data).toEqual({
      payments: [
        { amountCents: 300, reference: null },
        { amountCents: 50, reference: 'second' },
      ],
      balance: 350,
    });
    expect((await send(other.url, { user: 'nobody', query })).body.data).toEqual({
      payments: [],
      balance: 0,
    });
  });

  it('need a user, and nothing happens without one', async () => {
    const before = await client.query('select 1 from payments');
    const query = 'mutation { charge(input: { amountCents: 1, currency: "EUR" }) { id } }';
    const response = await send(one.url, { key: 'whose', query });
    expect(response.status).toBe(401);
    expect(response.body.errors?.[0]?.extensions['code']).toBe('UNAUTHENTICATED');
    expect(await client.query('select 1 from payments')).toMatchObject({ rowCount: before.rowCount });
  });

  it('need a key', async () => {
    const response = await charge(one.url, {});
    expect(response.status).toBe(400);
    expect(outcomeOf(response)).toBe('IDEMPOTENCY_KEY_MISSING');
  });

  it.each([0, -5])('of %i cents are refused, and the key stays free', async (amountCents) => {
    const refused = await charge(one.url, { user: 'erin', key: `free${amountCents}`, amountCents });
    expect(outcomeOf(refused)).toBe('BAD_USER_INPUT');
    const corrected = await charge(one.url, { user: 'erin', key: `free${amountCents}`, amountCents: 5 });
    expect(outcomeOf(corrected)).toBe('executed');
  });

  it('are told to the world, as lines on stderr where there is no broker, unless they are refused', async () => {
    const user = 'gina';
    const refused = await charge(one.url, { user, key: 'too-much', amountCents: 1_000_001 });
    expect(outcomeOf(refused)).toBe('LIMIT_EXCEEDED');
    const taken = await charge(one.url, { user, key: 'enough', amountCents: 1_000_000 });
    const { id } = taken.body.data!['charge'] as { id: string };
    const payload = JSON.stringify({ id, user, amountCents: 1_000_000, currency: 'EUR' });
    // Either of them may have been the one to publish it.
    const told = (): string[] =>
      [one, other].flatMap(({ child }) => child.output().split('\n')).filter((line) => line.includes(user));
    await eventually(() => told().length > 0, { what: 'the event' });
    // In the order of the user's charges: had the refused one an event, it would have come first.
    expect(told()[0]).toMatch(/^event [\da-f-]{36} payment\.captured \{/);
    expect(told()[0]).toContain(payload);
    const { rows } = await client.query('select amount_cents from payments where user_id = $1', [user]);
    expect(rows).toEqual([{ amount_cents: 1_000_000 }]);
  });

  it('under way at SIGTERM are finished and answered before the server ends', async () => {
    const { url, child } = await startPayments({ file: 'demo/pausing-server.ts', env });
    const answer = charge(url, { user: 'finn', key: 'drained', reference: 'pause' });
    await child.message((message) => message === 'paused');
    process.kill(child.pid, 'SIGTERM');
    await eventually(
      () =>
        fetch(url).then(
          () => false,
          () => true,
        ),
      { what: 'the end of listening' },
    );
    child.send('go on');
    expect(outcomeOf(await answer)).toBe('executed');
    expect(await within(child.exited, { timeoutMs: 25_000 })).toEqual({ code: 0, signal: null });
    const retried = await charge(one.url, { user: 'finn', key: 'drained', reference: 'pause' });
    expect(outcomeOf(retried)).toBe('replayed');
  });

  it('are served by npm start, which prints one line', async () => {
    const server = spawn(process.execPath, ['scripts/run.mjs', 'examples/payments/server.ts'], {
      cwd: root,
      env: { ...process.env, ...cleanEnvironment, ...env, PORT: '0' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    watchProcess(server.pid!);
    let stdout = '';
    server.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    const url = await eventually(() => /^ready (\S+)\n/.exec(stdout)?.[1], { timeoutMs: 20_000 });
    expect(await charge(url, { key: 'npm-start' })).toMatchObject({ status: 200 });
    const closed = once(server, 'close');
    server.kill('SIGINT');
    expect(await within(closed)).toEqual([0, null]);
    forgetProcess(server.pid!);
    expect(stdout).toMatch(/^ready http:\/\/localhost:\d+\/\n$/);
  });
});
