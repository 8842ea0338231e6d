/** The payments example as a program on a port that it keeps, and what its database says of it. */

import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeEach } from 'vitest';
import { send, startPayments } from '../examples/payments.ts';
import type { Payments } from '../examples/payments.ts';
import { createDatabase, redisPrefix, redisUrl } from '../support/database.ts';
import { freePort } from '../support/free-port.ts';
import { eventually } from '../support/signal.ts';

export interface Shopper {
  readonly user: string;
  readonly cart: string;
}

/** What the page's switches are made of; what is left out stays as it is. */
export interface Trouble {
  /** So many answers get lost on their way. */
  readonly dropResponses?: number;
  readonly slowMs?: number;
  readonly downForMs?: number;
  readonly redisDown?: boolean;
}

export interface Payment {
  readonly id: string;
  readonly amount_cents: number;
}

export interface Hold {
  /** Waits until so many charges are in the middle of their execution. */
  reached(charges: number): Promise<void>;
  release(): Promise<void>;
}

export interface Shop {
  readonly url: string;
  readonly redisPrefix: string;
  /** The user's rows, read on a connection of the test's own. */
  payments(user: string): Promise<readonly Payment[]>;
  trouble(trouble: Trouble): Promise<void>;
  /** Waits until the API answers. */
  answers(): Promise<void>;
  /** Keeps every charge from writing its row, until it is released. */
  holdCharges(): Promise<Hold>;
  /** Ends the server with SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
}

const clients = new Set<Client>();
/** What puts each shop in order again: a test that failed must not fail the next one. */
const tidying = new Set<() => Promise<void>>();

// Before and not after: first there are pictures of what a test that failed has left.
beforeEach(() => Promise.all([...tidying].map((tidy) => tidy())));
afterAll(() => Promise.all([...clients].map((client) => client.end())));

/** Starts the shop, until the end of the test file. */
export async function openShop(): Promise<Shop> {
  const { url: databaseUrl } = await createDatabase();
  const prefix = redisPrefix();
  const port = await freePort();
  const env = {
    PORT: `${port}`,
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl(),
    IDEMPOTENCY_REDIS_PREFIX: prefix,
    // Nobody is paid out here.
    PROVIDER_URL: 'http://127.0.0.1:9/',
  };
  const launch = (): Promise<Payments> => startPayments({ env, until: 'file' });
  let running: Promise<Payments> | undefined = launch();
  await running;
  // The page is built for the first who asks for it; that is no test's time.
  const page = await fetch(`http://localhost:${port}/checkout`);
  if (!page.ok) throw new Error(`There is no page: ${page.status} ${await page.text()}`);
  const [reader, locker] = await Promise.all([connect(databaseUrl), connect(databaseUrl)]);

  async function setTrouble(trouble: Trouble): Promise<void> {
    const response = await fetch(`http://localhost:${port}/checkout/trouble`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(trouble),
    });
    if (!response.ok) throw new Error(`The trouble was refused: ${response.status}`);
  }

  async function release(): Promise<void> {
    await locker.query('rollback');
  }

  async function start(): Promise<void> {
    running ??= launch();
    await running;
  }

  tidying.add(async () => {
    await release();
    await start();
    await setTrouble({ dropResponses: 0, slowMs: 0, downForMs: 0, redisDown: false });
  });

  return {
    url: `http://localhost:${port}`,
    redisPrefix: prefix,
    async payments(user) {
      const { rows } = await reader.query<Payment>(
        'select id, amount_cents from payments where user_id = $1 order by created_at, id',
        [user],
      );
      return rows;
    },
    trouble: setTrouble,
    async answers() {
      const ask = { user: 'nobody', query: 'query { balance }' };
      await eventually(async () => (await send(`http://localhost:${port}/`, ask)).status === 200, {
        timeoutMs: 20_000,
        what: 'an answer of the API',
      });
    },
    async holdCharges() {
      await locker.query('begin; lock table payments in share row exclusive mode');
      return {
        release,
        reached: async (charges) => {
          await eventually(async () => (await waitingFor(reader)) >= charges, {
            timeoutMs: 20_000,
            what: `${charges} charges in the middle of their execution`,
          });
        },
      };
    },
    async kill() {
      const payments = await running;
      running = undefined;
      await payments?.child.kill('SIGKILL');
    },
    start,
  };
}

/** Somebody whom no other test knows. */
export function newShopper(): Shopper {
  const id = randomBytes(4).toString('hex');
  return { user: `user-${id}`, cart: `cart-${id}` };
}

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  await client.connect();
  clients.add(client);
  return client;
}

async function waitingFor(client: Client): Promise<number> {
  const { rows } = await client.query<{ waiting: number }>(
    `select count(*)::int as waiting from pg_locks where relation = 'payments'::regclass and not granted`,
  );
  return rows[0]!.waiting;
}
