/** The blocks about brokers run, each against its broker: what an attempt has added is consumed, once. */

import type { Idempotency, Relay } from 'graphql-idempotency';
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeModules } from '../docs/modules.ts';
import type { Context } from '../docs/prelude.ts';
import { createDatabase } from '../support/database.ts';
import { startKafka } from '../support/kafka-cluster.ts';
import { startNats } from '../support/nats-server.ts';
import { startRabbitMq } from '../support/rabbitmq-server.ts';
import { startRedis } from '../support/redis-server.ts';

/** What the blocks declare. */
interface Block {
  readonly relay: Relay;
  readonly consumer: { stop(): Promise<void> };
}

const modules = writeModules();
const database = await createDatabase({ migrated: true });
const owner = new pg.Pool({ connectionString: database.url, max: 1 });
let idempotency: Idempotency<Context>;

beforeAll(async () => {
  vi.stubEnv('DATABASE_URL', database.url);
  for (const level of ['info', 'warn', 'error'] as const)
    vi.spyOn(console, level).mockImplementation(() => {});
  await owner.query('create table entries (event_id text not null, body bytea not null)');
  // Not before: it reads the environment.
  ({ idempotency } = await import('../docs/prelude.ts'));
});

afterAll(async () => {
  await idempotency.close();
  await owner.end();
  await database.drop();
  modules.remove();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

async function consumed(name: string, brokerUrl: string): Promise<Block> {
  vi.stubEnv('BROKER_URL', brokerUrl);
  await owner.query('truncate entries');
  const block = await modules.load<Block>(name);
  const { value: id } = await idempotency.guard({ scope: 'docs', key: name }, ({ outbox }) =>
    outbox.add({ topic: 'payment.captured', key: 'ann', payload: { amountCents: 1 } }),
  );
  const entries = async (): Promise<unknown> =>
    (await owner.query('select event_id, body from entries')).rows;
  const entry = { event_id: id, body: Buffer.from('{"amountCents":1}') };
  await expect.poll(entries, { timeout: 30_000 }).toEqual([entry]);
  await block.consumer.stop();
  await block.relay.stop();
  return block;
}

test('redis-broker.ts', async () => {
  const server = await startRedis();
  const { redis } = (await consumed('redis-broker.ts', server.url)) as Block & {
    redis: { disconnect(): void };
  };
  redis.disconnect();
  await server.remove();
});

test('nats-broker.ts', async () => {
  const server = await startNats();
  const { connection } = (await consumed('nats-broker.ts', server.url)) as Block & {
    connection: { close(): Promise<void> };
  };
  await connection.close();
  await server.remove();
});

test('rabbitmq-broker.ts', async () => {
  const server = await startRabbitMq();
  const { publisher } = (await consumed('rabbitmq-broker.ts', server.url)) as Block & {
    publisher: { close(): Promise<void> };
  };
  await publisher.close();
  await server.remove();
}, 150_000);

test('kafka-broker.ts', async () => {
  const cluster = await startKafka();
  const { producer } = (await consumed('kafka-broker.ts', cluster.broker())) as Block & {
    producer: { disconnect(): Promise<void> };
  };
  await producer.disconnect();
  await cluster.kill();
});
