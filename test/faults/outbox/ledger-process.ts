/** A consumer in a process of its own, which notes each delivery, and keeps the ledger through the inbox. */

import { createIdempotency } from 'graphql-idempotency';
import { loadBroker } from './brokers/broker.ts';
import { noteSeen } from './journal.ts';
import { choicesFor } from './random.ts';
import { PATIENT, receiveOrders, tellReady } from './settings.ts';

const { seed, databaseUrl, broker, brokerUrl, journals, ended } = await receiveOrders();

/** With a connection for each, which takes longer to open than many messages to handle. */
const CONCURRENCY = 8;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Of no event and no execution. */
const NIL = '00000000-0000-0000-0000-000000000000';
/** The share of messages whose handler throws, the first time that this process gets them. */
const FAILING = 0.02;

const idempotency = createIdempotency({
  scope: () => 'ledger',
  postgres: databaseUrl,
  redis: false,
  sweepInterval: 0,
  recoverInterval: 0,
  poolSize: CONCURRENCY,
});
const failed = new Set<string>();

const consumer = await (
  await loadBroker(broker)
).consume(
  brokerUrl,
  { concurrency: CONCURRENCY, backoffMs: 100, maxBackoffMs: 1000, onError: () => {} },
  async (message) => {
    const eventId = UUID.test(message.messageId) ? message.messageId : NIL;
    const execution = executionOf(message.payload);
    noteSeen(journals.seen, { eventId, execution });
    await idempotency.inbox.process({ consumer: 'ledger', ...message, ...PATIENT }, async (tx) => {
      await tx.query('insert into ledger (event_id, execution) values ($1, $2)', [eventId, execution]);
      if (failed.has(eventId) || choicesFor(seed, eventId).share() >= FAILING) return;
      failed.add(eventId);
      throw new Error('the ledger is not in the mood');
    });
  },
);

tellReady();
await ended;
await consumer.stop();
await idempotency.close();
process.exit();

function executionOf(payload: Buffer): string {
  const { execution } = JSON.parse(payload.toString()) as { readonly execution?: unknown };
  return typeof execution === 'string' && UUID.test(execution) ? execution : NIL;
}
