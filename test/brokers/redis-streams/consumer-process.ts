/** A consumer in a process of its own: says what it gets, and never gets done with it. */

import { consumeRedisStream } from 'graphql-idempotency/redis-streams';
import { Redis } from 'ioredis';

const [url, stream, claimIdleMs] = process.argv.slice(2);

consumeRedisStream(
  {
    redis: new Redis(url!),
    stream: stream!,
    group: 'g',
    consumer: 'killed',
    concurrency: 3,
    claimIdleMs: Number(claimIdleMs),
  },
  async ({ messageId }) => {
    process.send?.({ got: messageId });
    await new Promise(() => {});
  },
);
