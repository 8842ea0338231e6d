/** RabbitMQ: a durable exchange, and a quorum queue, which confirms what is on disk. */

import amqp from 'amqplib';
import type { Channel } from 'amqplib';
import { consumeRabbitQueue, rabbitMqPublisher } from 'graphql-idempotency/rabbitmq';
import { startRabbitMq } from '../../../support/rabbitmq-server.ts';
import { eventually } from '../../../support/signal.ts';
import { TOPICS } from '../plan-call.ts';
import { GROUP } from './broker.ts';
import type { Broker } from './broker.ts';

const EXCHANGE = 'payments';

export const rabbitMqBroker: Broker = {
  async start() {
    const server = await startRabbitMq();
    await administer(server.url, async (channel) => {
      await channel.assertExchange(EXCHANGE, 'topic', { durable: true });
      await channel.assertQueue(GROUP, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
      for (const topic of TOPICS) await channel.bindQueue(GROUP, EXCHANGE, topic);
    });
    return {
      url: server.url,
      end: (how) => server[how](),
      restart: () => server.start(),
      // Without consumers, all messages are ready, and so counted; but a quorum queue gets to know that a little later.
      backlog: () =>
        administer(server.url, async (channel) => {
          const depth = async (): Promise<number> => (await channel.checkQueue(GROUP)).messageCount;
          const depths = [await depth()];
          await eventually(async () => depths.push(await depth()) > SETTLED);
          return Math.max(...depths);
        }),
      remove: () => server.remove(),
    };
  },
  openPublisher: async (url) =>
    rabbitMqPublisher({ connect: () => amqp.connect(url), exchange: EXCHANGE, confirmTimeoutMs: 8000 }),
  consume: async (url, options, handler) =>
    consumeRabbitQueue({ connect: () => amqp.connect(url), queue: GROUP, ...options }, handler),
};

const SETTLED = 20;

async function administer<T>(url: string, work: (channel: Channel) => Promise<T>): Promise<T> {
  const connection = await amqp.connect(url);
  try {
    return await work(await connection.createChannel());
  } finally {
    await connection.close();
  }
}
