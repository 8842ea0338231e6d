/**
 * Publishes the events of committed charges: to streams of the Redis of `BROKER_URL`, or, where there is none, as
 * lines on stderr. It runs in the server, because only one process has the embedded database.
 */

import { redisStreamsPublisher } from 'graphql-idempotency/redis-streams';
import { Redis } from 'ioredis';
import { idempotency } from './idempotency.ts';

const { BROKER_URL } = process.env;

export interface RunningRelay {
  stop(): Promise<void>;
}

export function startRelay(): RunningRelay {
  const broker = BROKER_URL ? new Redis(BROKER_URL, { commandTimeout: 5000 }) : undefined;
  // What it means for the events, the relay says. Unheard, the client would print each of its errors.
  broker?.on('error', () => {});
  const relay = idempotency.relay({
    ...(broker === undefined
      ? { publish: printEvent }
      : { publisher: redisStreamsPublisher({ redis: broker }) }),
    // How long the events of a server that was killed wait for the next one.
    leaseMs: 3000,
  });
  relay.start();
  return {
    async stop() {
      await relay.stop();
      broker?.disconnect();
    },
  };
}

function printEvent({ id, topic, payload }: { id: string; topic: string; payload: Buffer }): void {
  console.error(`event ${id} ${topic} ${payload.toString()}`);
}
