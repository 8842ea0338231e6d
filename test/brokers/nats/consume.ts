/** Consumers of a test's own: quick where a test waits, and stopped when it ends. */

import { jetstream } from '@nats-io/jetstream';
import { consumeJetStream } from 'graphql-idempotency/nats';
import type {
  ConsumerOptions,
  MessageConsumer,
  MessageHandler,
  ReceivedMessage,
} from 'graphql-idempotency/nats';
import { onTestFinished } from 'vitest';
import type { NatsCase } from './nats-case.ts';

/** Consumes by `worker` of the stream, over a connection of its own. */
export async function consume(
  nats: NatsCase,
  stream: string,
  handler: MessageHandler,
  options: ConsumerOptions = {},
): Promise<MessageConsumer> {
  const connection = await nats.connect();
  const consumer = await consumeJetStream(
    {
      js: jetstream(connection),
      stream,
      durable: 'worker',
      backoffMs: 1,
      maxBackoffMs: 1,
      onError: () => {},
      ...options,
    },
    handler,
  );
  onTestFinished(async () => {
    // What it still holds is not waited for: by closing, the request that is running is withdrawn.
    await connection.close();
    void consumer.stop();
  });
  return consumer;
}

export const textOf = ({ payload }: ReceivedMessage): string => payload.toString();
