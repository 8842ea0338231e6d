/** NATS JetStream: a stream on disk, and a durable consumer. */

import { AckPolicy, StorageType, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { NatsConnection } from '@nats-io/transport-node';
import { setTimeout as pause } from 'node:timers/promises';
import { consumeJetStream, jetStreamPublisher } from 'graphql-idempotency/nats';
import type { MessageConsumer } from 'graphql-idempotency/nats';
import { startNats } from '../../../support/nats-server.ts';
import { eventually } from '../../../support/signal.ts';
import { TOPICS } from '../plan-call.ts';
import { GROUP, REDELIVER_MS } from './broker.ts';
import type { Broker } from './broker.ts';

const STREAM = 'payments';
const RETRY_MS = 200;

export const natsBroker: Broker = {
  async start() {
    const server = await startNats();
    const connection = await open(server.url);
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: STREAM, subjects: [...TOPICS], storage: StorageType.File });
    await manager.consumers.add(STREAM, {
      durable_name: GROUP,
      ack_policy: AckPolicy.Explicit,
      ack_wait: REDELIVER_MS * 1_000_000,
      max_deliver: -1,
    });
    return {
      url: server.url,
      end: (how) => server[how](),
      restart: () => server.start(),
      // Asked again where the connection is only just coming back.
      backlog: () =>
        eventually(async () => {
          const { num_pending, num_ack_pending } = await manager.consumers.info(STREAM, GROUP);
          return num_pending + num_ack_pending;
        }),
      async remove() {
        await connection.close();
        await server.remove();
      },
    };
  },
  openPublisher: async (url) => jetStreamPublisher({ js: jetstream(await open(url)) }),
  async consume(url, options, handler) {
    const js = jetstream(await open(url));
    // It wants to see its consumer first, and the server may be away.
    for (;;) {
      try {
        return await startConsumer();
      } catch {
        await pause(RETRY_MS);
      }
    }

    async function startConsumer(): Promise<MessageConsumer> {
      return consumeJetStream({ js, stream: STREAM, durable: GROUP, ...options }, handler);
    }
  },
};

function open(url: string): Promise<NatsConnection> {
  return connect({
    servers: url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RETRY_MS,
    waitOnFirstConnect: true,
  });
}
