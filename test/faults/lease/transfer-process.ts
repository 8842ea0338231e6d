/** A child process that runs the transfer service, whose calls stand still where they are told, to be killed there. */

import { appendFileSync, existsSync } from 'node:fs';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import pg from 'pg';
import { startService } from '../../support/service.ts';
import { deferred } from '../../support/signal.ts';
import { STALL, placeOfCall, readPlaces, standAt } from './standing.ts';
import { transferResolvers, transferTypeDefs } from './transfer.ts';
import type { Transfer } from './transfer.ts';

/** What it says when it is ready. */
export interface TransferReady {
  readonly url: string;
}

interface Statement {
  readonly name?: string;
  readonly text?: string;
  readonly values?: readonly unknown[];
}

const environment = (name: string): string => process.env[`CHILD_${name}`]!;
const leaseMs = Number(environment('LEASE_MS'));

readPlaces();

// A pool of the test's own, because every statement of an attempt passes by here.
const pool = new pg.Pool({
  connectionString: environment('DATABASE_URL'),
  max: Number(environment('CONNECTIONS')),
});
pool.on('error', () => {});
pool.on('connect', (client) => {
  const query = client.query.bind(client) as (...parameters: unknown[]) => unknown;
  client.query = ((...parameters: unknown[]) => {
    const [first, ...others] = parameters as [Statement | string];
    const statement = typeof first === 'string' ? { text: first } : first;
    const standing = standAt(placeBefore(statement));
    if (standing !== undefined) return standing;
    // Marked, so that the proxy knows whose it is. What is prepared under a name must stay as it is.
    if (typeof first !== 'string' && first.name !== undefined) return query(...parameters);
    const text = `${statement.text ?? ''} /* ${placeOfCall()} */`;
    return query(typeof first === 'string' ? text : { ...first, text }, ...others);
  }) as typeof client.query;
});
function placeBefore({ text = '', values = [] }: Statement): string {
  const names = (step: string): boolean => text.includes(`'${step}'`) || values.includes(step);
  if (text.includes('.claim_lease(')) return 'before-claim';
  if (text.includes('.complete_lease(')) return 'before-complete';
  if (text.includes('.claim(')) return 'before-begin';
  if (!text.includes('.record_step(')) return 'before-another-statement';
  if (names('book')) return 'before-commit';
  return names('reserve') ? 'before-reserve-entry' : 'before-capture-entry';
}

const redis = new Redis(environment('REDIS_URL'), {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  commandTimeout: 10_000,
});
// Without a queue, a command before it is connected would fail.
await once(redis, 'ready');
const get = redis.getBuffer.bind(redis) as (...parameters: unknown[]) => Promise<Buffer | null>;
redis.getBuffer = (async (...parameters: unknown[]) => {
  await standAt('before-lookup');
  return get(...parameters);
}) as typeof redis.getBuffer;

const set = redis.set.bind(redis) as (...parameters: unknown[]) => Promise<'OK'>;
/** By the place of their calls: how many records are in Redis, and who waits until there are so many. */
const written = new Map<string | undefined, number>();
const awaited = new Set<{ readonly isThere: () => boolean; readonly come: () => void }>();
redis.set = (async (...parameters: unknown[]) => {
  await standAt('before-redis-write');
  const answer = await set(...parameters);
  const place = placeOfCall();
  written.set(place, (written.get(place) ?? 0) + 1);
  for (const { isThere, come } of awaited) if (isThere()) come();
  await standAt('after-redis-write');
  return answer;
}) as typeof redis.set;

const replies = new Map<string | undefined, number>();
/** Runs after the completion and before the reply; the record goes to Redis meanwhile. */
async function beforeReply(): Promise<void> {
  const place = placeOfCall();
  const count = (replies.get(place) ?? 0) + 1;
  replies.set(place, count);
  const { promise, resolve } = deferred();
  if (place === 'before-redis-write' || place === 'after-redis-write') await promise;
  const isThere = (): boolean => (written.get(place) ?? 0) >= count;
  awaited.add({ isThere, come: resolve });
  if (place === 'before-http-reply' && !isThere()) await promise;
  await standAt('before-http-reply');
}

/** Blocks the whole process for two leases, and until its parent lets it go on. */
function stall(): void {
  const end = performance.now() + 2 * leaseMs;
  while (performance.now() < end || !existsSync(environment('GO_ON')));
}

const transferring = transferResolvers({
  providerUrl: environment('PROVIDER_URL'),
  at: (point) => {
    if (point === 'after-reserve' && placeOfCall() === STALL) stall();
    return standAt(point);
  },
  // Synchronously, so that a run is known even if the process dies at once.
  onRun: (run) => appendFileSync(environment('RUNS'), `${JSON.stringify(run)}\n`),
});

const service = await startService({
  databaseUrl: environment('DATABASE_URL'),
  redis,
  options: {
    postgres: pool,
    migrate: false,
    redisPrefix: environment('REDIS_PREFIX'),
    // A lookup that stands still must not be given up, and a write that is not answered not be sent again.
    redisTimeout: 60_000,
    commitTimeout: 60_000,
    acquireTimeout: 60_000,
    lease: leaseMs,
    claimTimeout: leaseMs - 1,
    reservedPoolSize: 4,
  },
  typeDefs: transferTypeDefs,
  resolvers: (idempotency) => ({
    ...transferring(idempotency),
    Transfer: {
      note: async ({ note }: Transfer) => {
        await beforeReply();
        return note;
      },
    },
  }),
});
process.send?.({ url: service.url } satisfies TransferReady);
