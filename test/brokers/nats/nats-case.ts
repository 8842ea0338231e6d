/** A NATS server of a test file's own, a connection to it, and streams that a test makes. */

import { randomUUID } from 'node:crypto';
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { ConsumerConfig, JetStreamClient, JetStreamManager, StreamConfig } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { NatsConnection } from '@nats-io/transport-node';
import type { OutboxEvent } from 'graphql-idempotency';
import { afterAll } from 'vitest';
import { type NatsServer, startNats } from '../../support/nats-server.ts';

export interface NatsCase {
  readonly server: NatsServer;
  readonly connection: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** Makes a stream, whose name it returns, for the subjects `<name>.>`. */
  stream(config?: Partial<StreamConfig>): Promise<string>;
  /** Makes a durable consumer `worker`. */
  worker(stream: string, config?: Partial<ConsumerConfig>): Promise<void>;
  /** Another connection, with the patience of one in use. */
  connect(): Promise<NatsConnection>;
  /** Publishes messages to `<stream>.in`, as whoever they come from. */
  send(stream: string, ...payloads: readonly string[]): Promise<void>;
  /** What a stream has stored, in that order. */
  stored(stream: string): Promise<StoredMessage[]>;
  /** How many messages of `worker` nobody has acknowledged, delivered or not. */
  unacknowledged(stream: string): Promise<number>;
}

export interface StoredMessage {
  readonly subject: string;
  readonly text: string;
  readonly headers: ReadonlyMap<string, readonly string[]>;
}

export const nanos = (ms: number): number => ms * 1_000_000;

/** Ends with the test file. */
export async function startNatsCase(): Promise<NatsCase> {
  const server = await startNats();
  ends.push(() => server.remove());
  const open = (): Promise<NatsConnection> =>
    connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const opened: NatsConnection[] = [];
  const connectOne = async (): Promise<NatsConnection> => {
    const connection = await open();
    opened.push(connection);
    return connection;
  };
  ends.push(async () => {
    await Promise.all(opened.map((one) => one.close()));
  });
  const connection = await connectOne();
  const js = jetstream(connection);
  const jsm = await jetstreamManager(connection);
  let streams = 0;
  return {
    server,
    connection,
    js,
    jsm,
    connect: connectOne,
    async stream(config = {}) {
      const name = `s${(streams += 1)}`;
      await jsm.streams.add({ name, subjects: [`${name}.>`], ...config });
      return name;
    },
    async worker(stream, config = {}) {
      await jsm.consumers.add(stream, { durable_name: 'worker', ack_policy: AckPolicy.Explicit, ...config });
    },
    async send(stream, ...payloads) {
      for (const payload of payloads) await js.publish(`${stream}.in`, payload);
    },
    async stored(stream) {
      const { state } = await jsm.streams.info(stream);
      const messages: StoredMessage[] = [];
      for (let seq = state.first_seq; state.messages > 0 && seq <= state.last_seq; seq += 1) {
        const message = await jsm.streams.getMessage(stream, { seq });
        if (message === null) continue;
        messages.push({
          subject: message.subject,
          text: message.string(),
          headers: new Map(message.header),
        });
      }
      return messages;
    },
    async unacknowledged(stream) {
      const info = await jsm.consumers.info(stream, 'worker');
      return info.num_pending + info.num_ack_pending;
    },
  };
}

/** An event as a relay gives it to a publisher. */
export function eventFor(topic: string, event: Partial<OutboxEvent> = {}): OutboxEvent {
  return {
    id: randomUUID(),
    topic,
    key: undefined,
    payload: Buffer.from('"payload"'),
    headers: { 'content-type': 'application/json' },
    createdAt: new Date(0),
    attempt: 1,
    ...event,
  };
}

const ends: (() => Promise<void>)[] = [];
afterAll(async () => {
  // The connections before their server.
  for (const end of ends.toReversed()) await end();
});
