/**
 * Keeps a ledger of what was captured: a process of its own, with a database of its own, which knows of payments
 * only what their events say. Needs the server's broker:
 *
 *     BROKER_URL=redis://localhost:6379 npm start
 *     BROKER_URL=redis://localhost:6379 node scripts/run.mjs examples/payments/bookkeeper.ts
 */

import { Console } from 'node:console';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createIdempotency, embeddedPool } from 'graphql-idempotency';
import { consumeRedisStream } from 'graphql-idempotency/redis-streams';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import type { CapturedPayment } from './resolvers.ts';

/** A row of the ledger. */
export interface LedgerRow {
  readonly paymentId: string;
  readonly user: string;
  readonly amountCents: number;
}

/** What `GET /` answers. */
export interface LedgerState {
  readonly rows: number;
  readonly cents: number;
  /** Oldest first. */
  readonly entries: readonly LedgerRow[];
}

const { BROKER_URL, IDEMPOTENCY_DATABASE_URL, DATABASE_URL, BOOKKEEPER_FOLDER, BOOKKEEPER_PORT } =
  process.env;
if (!BROKER_URL) throw new Error('Set BROKER_URL to the Redis to which the server publishes.');
const connectionString = IDEMPOTENCY_DATABASE_URL || DATABASE_URL;

const database = connectionString
  ? new Pool({ connectionString })
  : await embeddedPool({ folder: BOOKKEEPER_FOLDER || '.data/bookkeeper' });
database.on('error', ({ message }) => console.error(`An idle connection was lost: ${message}`));

// No unique constraint on the payment: it would keep a second row out, and nobody could see whether the inbox does.
// The lock is for two bookkeepers that start at once.
await database.query(`
  select pg_advisory_xact_lock(hashtextextended('create ledger', 0));

  create table if not exists ledger (
    entry bigint generated always as identity primary key,
    payment_id uuid not null,
    user_id text not null,
    amount_cents integer not null,
    currency text not null,
    booked_at timestamptz not null default clock_timestamp()
  );
`);

const idempotency = createIdempotency({
  // Its inbox is all that is used of it, whose scope is the consumer.
  scope: () => 'bookkeeper',
  namespace: 'bookkeeper',
  postgres: database,
  redis: false,
  migrate: true,
  logger: new Console(process.stderr),
});
await idempotency.open();

const broker = new Redis(BROKER_URL);
// What goes wrong, the consumer's own connections say.
broker.on('error', () => {});

const consumer = consumeRedisStream(
  {
    redis: broker,
    stream: 'payment.captured',
    group: 'bookkeeper',
    // How long the messages of a bookkeeper that was killed wait for the next one.
    claimIdleMs: 2000,
    maxBackoffMs: 2000,
  },
  (message) =>
    idempotency.inbox.process({ consumer: 'bookkeeper', ...message }, async (tx) => {
      const { id, user, amountCents, currency } = JSON.parse(message.payload.toString()) as CapturedPayment;
      await tx.query(
        'insert into ledger (payment_id, user_id, amount_cents, currency) values ($1, $2, $3, $4)',
        [id, user, amountCents, currency],
      );
    }),
);

const server = createServer((_, response) => {
  readLedger().then(
    (state) => response.setHeader('content-type', 'application/json').end(JSON.stringify(state)),
    (error: unknown) => {
      console.error(error);
      response.writeHead(500).end();
    },
  );
});
server.listen(Number(BOOKKEEPER_PORT || 0), '127.0.0.1');
await once(server, 'listening');
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stop());
}
console.log(`ready http://127.0.0.1:${(server.address() as AddressInfo).port}/`);

async function readLedger(): Promise<LedgerState> {
  const { rows } = await database.query<LedgerRow>(
    'select payment_id as "paymentId", user_id as "user", amount_cents as "amountCents" from ledger order by entry',
  );
  const cents = rows.reduce((sum, { amountCents }) => sum + amountCents, 0);
  return { rows: rows.length, cents, entries: rows };
}

/** What is being booked is finished, and acknowledged; the rest is for the next bookkeeper. */
async function stop(): Promise<void> {
  await consumer.stop();
  broker.disconnect();
  server.close();
  server.closeAllConnections();
  await idempotency.close();
  await database.end();
}
