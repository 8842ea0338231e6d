/** One round of a relay: claims events, publishes them, and says in the outbox what became of them. */

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorText } from '../errors/error-text.ts';
import type { ClaimedEvents, FinishedEvents, OutboxStore } from '../store/outbox-port.ts';
import { publish as tell } from '../telemetry/channels.ts';
import { holdClaim } from './held-claim.ts';
import { outboxEventOf, publishBatch } from './publish-batch.ts';
import type { Batch } from './publish-batch.ts';
import type { OutboxEvent } from './publisher.ts';
import type { RelaySettings } from './relay-options.ts';
import { retryDelayMs } from './retry-delay.ts';
import type { Search } from './search.ts';

const RETRY_MS = 250;

export interface RoundContext {
  readonly settings: RelaySettings;
  readonly store: OutboxStore;
  readonly search: Search;
  /** When it aborts, no further event is begun. */
  readonly stopping: AbortSignal;
  /** When it aborts, nothing is waited for any more. */
  readonly stopped: AbortSignal;
  readonly onError: (error: unknown, event: OutboxEvent | undefined) => void;
  readonly onDead: (event: { readonly eventId: string; readonly topic: string }, reason: string) => void;
}

/** What a round has come to. */
export interface Round {
  /** How many rows it has moved on from where they were. */
  readonly claimed: number;
  readonly published: number;
  readonly failed: number;
  readonly dead: number;
  readonly parked: number;
  /** Whether there may be more that is ready. */
  readonly full: boolean;
}

/** @throws StoreUnavailableError when nothing could be claimed. */
export async function runRound(context: RoundContext): Promise<Round> {
  const { settings, store, search } = context;
  const { batchSize: limit, maxBatchBytes: maxBytes, leaseMs, crashLimit, topics } = settings;
  const token = randomUUID();
  const sinceMs = search.sinceMs();
  const claimed = await store.claimEvents({ token, topics, limit, maxBytes, leaseMs, crashLimit, sinceMs });
  search.found(claimed);
  const { events, buried, parked, cutShort } = claimed;
  for (const { eventId, topic, crashes } of buried) {
    const reason = `the relay died ${crashes} times while publishing it`;
    context.onDead({ eventId, topic }, reason);
    tell({ type: 'relay', event: 'dead', eventId, topic, error: new Error(reason) });
  }
  if (events.length > 0 || parked > 0)
    tell({ type: 'relay', event: 'claimed', count: events.length, parked });
  const { batch, dead } =
    events.length === 0 ? { batch: nothing, dead: 0 } : await publishClaimed(context, token, claimed);
  const moved = events.length + parked + buried.length;
  return {
    claimed: moved,
    published: batch.published.length,
    failed: batch.failed.length,
    dead: dead + buried.length,
    parked,
    full: moved >= limit || cutShort,
  };
}

const nothing: Batch = { published: [], failed: [], released: [] };

async function publishClaimed(
  context: RoundContext,
  token: string,
  { events, askedMs }: ClaimedEvents,
): Promise<{ readonly batch: Batch; readonly dead: number }> {
  const { settings, store } = context;
  const claim = holdClaim({
    store,
    token,
    events,
    leaseMs: settings.leaseMs,
    askedMs,
    onError: (error) => tell({ type: 'relay', event: 'unavailable', error }),
  });
  try {
    const batch = await publishBatch({ ...settings, ...context }, claim, events);
    const finished = finishedBy(context, token, batch);
    const held = await finish(context, finished, () => claim.aliveUntilMs);
    tellBatch(context, finished, events.length - held);
    return { batch, dead: finished.failed.filter(({ retryInMs }) => retryInMs === undefined).length };
  } finally {
    claim.stop();
  }
}

function finishedBy({ settings }: RoundContext, token: string, batch: Batch): FinishedEvents {
  const failed = batch.failed.map(({ event, error }) => {
    const failures = event.failures + 1;
    const isDead = failures >= settings.maxAttempts;
    return {
      event,
      error: errorText(error),
      retryInMs: isDead ? undefined : retryDelayMs(failures, settings),
    };
  });
  return { token, published: batch.published, released: batch.released, failed };
}

/**
 * Tries for as long as nobody else can have the events: what is published and still there will be published again.
 * Returns how many were still held.
 */
async function finish(
  context: RoundContext,
  finished: FinishedEvents,
  aliveUntilMs: () => number,
): Promise<number> {
  for (;;) {
    try {
      return await context.store.finishEvents(finished);
    } catch (error) {
      tell({ type: 'relay', event: 'unavailable', error });
      context.onError(error, undefined);
      if (context.stopped.aborted || performance.now() > aliveUntilMs()) return 0;
      await sleep(RETRY_MS);
    }
  }
}

function tellBatch(
  context: RoundContext,
  { published, failed, released }: FinishedEvents,
  lost: number,
): void {
  if (published.length > 0) tell({ type: 'relay', event: 'published', count: published.length });
  if (released.length > 0) tell({ type: 'relay', event: 'released', count: released.length });
  if (lost > 0) tell({ type: 'relay', event: 'lost', count: lost });
  for (const { event, error, retryInMs } of failed) {
    const { eventId, topic } = event;
    const reason = new Error(error);
    context.onError(reason, outboxEventOf(event));
    tell({
      type: 'relay',
      event: retryInMs === undefined ? 'dead' : 'failed',
      eventId,
      topic,
      error: reason,
    });
    if (retryInMs === undefined) context.onDead(event, error);
  }
}
