/** A relay in a process of its own, which notes what it hands to the broker, and what the broker confirms. */

import { createIdempotency } from 'graphql-idempotency';
import type { Publisher } from 'graphql-idempotency';
import { loadBroker } from './brokers/broker.ts';
import { notePublications } from './journal.ts';
import { LEASE_MS, PATIENT, receiveOrders, tellReady } from './settings.ts';

const { databaseUrl, broker, brokerUrl, journals, ended } = await receiveOrders();

const idempotency = createIdempotency({
  scope: () => 'relay',
  postgres: databaseUrl,
  redis: false,
  sweepInterval: 0,
  recoverInterval: 0,
  poolSize: 2,
});
const publisher = await (await loadBroker(broker)).openPublisher(brokerUrl);
const relay = idempotency.relay({
  publisher: noting(publisher),
  leaseMs: LEASE_MS,
  publishTimeoutMs: 10_000,
  backoffMs: 100,
  maxBackoffMs: 1000,
  pollMaxMs: 250,
  ...PATIENT,
  onError: () => {},
});
relay.start();

tellReady();
await ended;
await relay.stop();
await idempotency.close();
process.exit();

function noting(publisher: Publisher): Publisher {
  return {
    async publish(events) {
      const ids = events.map(({ id }) => id);
      notePublications(journals.publications, 'begun', ids);
      const outcomes = await publisher.publish(events);
      const confirmed = ids.filter((_, at) => outcomes[at] === undefined);
      notePublications(journals.publications, 'confirmed', confirmed);
      return outcomes;
    },
  };
}
