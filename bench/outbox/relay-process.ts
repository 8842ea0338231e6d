/** A relay that publishes to nobody, in a process of its own. It says how long its claims took, and what is gone. */

import { subscribe } from 'node:diagnostics_channel';
import { createIdempotency } from 'graphql-idempotency';
import type { RelayMessage } from 'graphql-idempotency';

/** What has been published since the last message. */
export interface RelayProgress {
  readonly published: number;
  readonly claimsMs: readonly number[];
}

const TELL_EACH_MS = 100;
const batchSize = Number(process.env['BENCH_BATCH']);

const idempotency = createIdempotency({
  scope: () => 'bench-history',
  postgres: process.env['BENCH_DATABASE_URL']!,
  redis: false,
  logger: { info: () => {}, warn: console.warn, error: console.error },
});

let published = 0;
let claimsMs: number[] = [];
/** When the round before this one ended: it was full, so that this one has begun at once. */
let endedAt: number | undefined;
let isFull = false;

subscribe('graphql-idempotency', (told) => {
  const message = told as RelayMessage;
  if (message.type !== 'relay') return;
  const now = performance.now();
  if (message.event === 'claimed') {
    if (isFull && endedAt !== undefined) claimsMs.push(now - endedAt);
    isFull = message.count >= batchSize;
    endedAt = undefined;
  } else if (message.event === 'published') {
    published += message.count;
    endedAt = now;
  }
});

setInterval(() => {
  if (published === 0) return;
  const progress: RelayProgress = { published, claimsMs };
  process.send!(progress);
  published = 0;
  claimsMs = [];
}, TELL_EACH_MS);

const relay = idempotency.relay({
  batchSize,
  publisher: { publish: async (events) => events.map(() => undefined) },
});
relay.start();
process.on('message', () => void relay.stop().then(() => process.exit()));
process.on('disconnect', () => process.exit());
