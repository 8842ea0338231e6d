/** The switches of the checkout page: the trouble that they make is real, and nothing is charged twice in it. */

import { Redis } from 'ioredis';
import { Client } from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { startRedis } from '../support/redis-server.ts';
import { eventually } from '../support/signal.ts';
import { sendRaw, switchTo, troubleNow } from './checkout.ts';
import type { Answer } from './checkout.ts';
import { charge, outcomeOf, send, startPayments } from './payments.ts';
import type { Payments } from './payments.ts';

let env: Record<string, string>;
let client: Client;
let watcher: Redis;
let server: Payments;

beforeAll(async () => {
  const database = await createDatabase();
  // Of its own: who is connected to it is a question here.
  const redis = await startRedis();
  watcher = new Redis(redis.url);
  env = {
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    // Nobody is paid out here, so that no server needs a provider of its own.
    PROVIDER_URL: 'http://127.0.0.1:9/',
  };
  server = await startPayments({ env, until: 'file' });
  client = new Client({ connectionString: database.url });
  await client.connect();
  return async () => {
    await client.end();
    watcher.disconnect();
    await redis.remove();
  };
});

describe('a switch', () => {
  it('loses the next answer to a mutation, which is executed all the same', async () => {
    expect(await switchTo(server.url, { dropResponses: 1 })).toMatchObject({ status: 200 });
    const user = 'dropped';
    // Queries are answered, and leave the switch as it is.
    expect((await send(server.url, { user, query: '{ balance }' })).body.data).toEqual({ balance: 0 });

    await expect(charge(server.url, { user, key: 'lost' })).rejects.toThrow('fetch failed');
    expect(await paymentsOf(user)).toBe(1);

    expect(await troubleNow(server.url)).toMatchObject({ dropResponses: 0 });
    expect(outcomeOf(await charge(server.url, { user, key: 'lost' }))).toBe('replayed');
    expect(await paymentsOf(user)).toBe(1);
  });

  it('loses an attempt that a browser sends twice by itself both times, and counts it once', async () => {
    await switchTo(server.url, { dropResponses: 1 });
    const sendAttempt = async (id: string): Promise<Answer> =>
      sendRaw(server.url, {
        headers: { authorization: 'Bearer twice', 'idempotency-key': 'twice', 'attempt-id': id },
        body: {
          query: 'mutation { charge(input: { amountCents: 5, currency: "EUR" }) { id } }',
        },
      });
    await expect(sendAttempt('first')).rejects.toThrow('socket hang up');
    await expect(sendAttempt('first')).rejects.toThrow('socket hang up');
    expect(await sendAttempt('second')).toMatchObject({ status: 200 });
    expect(await paymentsOf('twice')).toBe(1);
  });

  it('makes every request wait', async () => {
    await switchTo(server.url, { slowMs: 300 });
    const sent = performance.now();
    expect(outcomeOf(await charge(server.url, { user: 'slow', key: 'slow' }))).toBe('executed');
    // A timer may be a millisecond early.
    expect(performance.now() - sent).toBeGreaterThan(298);
    await switchTo(server.url, { slowMs: 0 });
  });

  it('breaks every connection to the API for a while, and nothing is executed', async () => {
    await switchTo(server.url, { downForMs: 60_000 });
    await expect(charge(server.url, { user: 'down', key: 'down' })).rejects.toThrow('fetch failed');
    await expect(send(server.url, { user: 'down', query: '{ balance }' })).rejects.toThrow('fetch failed');
    // The switches are there still.
    const { downForMs } = await troubleNow(server.url);
    expect(downForMs).toBeGreaterThan(0);
    expect(downForMs).toBeLessThanOrEqual(60_000);
    expect(await paymentsOf('down')).toBe(0);

    await switchTo(server.url, { downForMs: 0 });
    expect(outcomeOf(await charge(server.url, { user: 'down', key: 'down' }))).toBe('executed');
  });

  it('cuts the connections to Redis and refuses new ones; the keys are found without it', async () => {
    const user = 'redis';
    expect(outcomeOf(await charge(server.url, { user, key: 'before' }))).toBe('executed');
    expect(await connectionsToRedis()).toBeGreaterThan(0);

    expect(await switchTo(server.url, { redisDown: true })).toMatchObject({ status: 200 });
    expect(await troubleNow(server.url)).toMatchObject({ redisDown: true, redisMissing: null });
    await eventually(async () => (await connectionsToRedis()) === 0, { what: 'the end of the connections' });
    expect(outcomeOf(await charge(server.url, { user, key: 'before' }))).toBe('replayed');
    expect(outcomeOf(await charge(server.url, { user, key: 'during' }))).toBe('executed');
    expect(await connectionsToRedis()).toBe(0);

    await switchTo(server.url, { redisDown: false });
    await eventually(async () => (await connectionsToRedis()) > 0, { what: 'a new connection' });
    expect(outcomeOf(await charge(server.url, { user, key: 'during' }))).toBe('replayed');
    expect(await paymentsOf(user)).toBe(2);
  });

  it('is missing for Redis where none is configured, and says so', async () => {
    const { REDIS_URL: _, ...withoutRedis } = env;
    const { url, child } = await startPayments({ env: withoutRedis });
    expect(await troubleNow(url)).toMatchObject({
      redisDown: false,
      redisMissing: 'No Redis is configured: set REDIS_URL.',
    });
    expect(await switchTo(url, { redisDown: true })).toEqual({
      status: 400,
      body: '{"error":"No Redis is configured: set REDIS_URL."}',
    });
    // Nor does trouble keep the server from its end.
    await switchTo(url, { dropResponses: 1 });
    await expect(charge(url, { user: 'end', key: 'end' })).rejects.toThrow('fetch failed');
    expect(await child.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  });

  it.each<{ readonly body: object }>([
    { body: { dropResponses: -1 } },
    { body: { dropResponses: 1.5 } },
    { body: { slowMs: '300' } },
    { body: { downForMs: 1e9 } },
    { body: { redisDown: 1 } },
    { body: { reboot: true } },
    { body: { toString: 1 } },
    { body: [] },
  ])('is not set to what makes no sense: $body', async ({ body }) => {
    const before = await troubleNow(server.url);
    expect(await switchTo(server.url, body)).toMatchObject({ status: 400 });
    expect(await troubleNow(server.url)).toEqual(before);
  });
});

async function paymentsOf(user: string): Promise<number> {
  const { rows } = await client.query<{ count: number }>(
    'select count(*)::int as count from payments where user_id = $1',
    [user],
  );
  return rows[0]!.count;
}

/** Those of others than this test. */
async function connectionsToRedis(): Promise<number> {
  const clients = /^connected_clients:(\d+)/m.exec(await watcher.info('clients'));
  return Number(clients![1]) - 1;
}
