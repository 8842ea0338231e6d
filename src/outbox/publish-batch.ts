/** Publishes the events of one claim: those of a key one after the other, all others side by side. */

import type { StoredEvent } from '../store/outbox-port.ts';
import type { HeldClaim } from './held-claim.ts';
import type { OutboxEvent, PublishFunction, PublishOutcome, Publisher } from './publisher.ts';

export interface BatchContext {
  readonly target: { readonly publish: PublishFunction } | { readonly publisher: Publisher };
  readonly concurrency: number;
  readonly publishTimeoutMs: number;
  /** When it aborts, no further event is begun. */
  readonly stopping: AbortSignal;
  /** When it aborts, those that are being published are not waited for any more. */
  readonly stopped: AbortSignal;
}

export interface Batch {
  readonly published: readonly StoredEvent[];
  readonly failed: readonly { readonly event: StoredEvent; readonly error: Error }[];
  /** Nobody has tried to publish them, or nobody waited for what became of it. */
  readonly released: readonly StoredEvent[];
}

/** What became of a try. `left`: it was not waited for. */
type Outcome = Error | 'published' | 'left';

/** Events that go one after the other: those of one key, or a single one. */
type Lane = StoredEvent[];

export async function publishBatch(
  context: BatchContext,
  claim: HeldClaim,
  events: readonly StoredEvent[],
): Promise<Batch> {
  const published: StoredEvent[] = [];
  const failed: { event: StoredEvent; error: Error }[] = [];
  const released: StoredEvent[] = [];
  const mayBegin = (event: StoredEvent): boolean => !context.stopping.aborted && claim.isHeld(event);

  /** Says whether the lane may go on: behind a failure it must not, or the order would be lost. */
  function note(event: StoredEvent, outcome: Outcome): boolean {
    if (outcome === 'published') published.push(event);
    else if (outcome === 'left') released.push(event);
    else failed.push({ event, error: outcome });
    return outcome === 'published';
  }

  const lanes = lanesOf(events);
  if ('publisher' in context.target) await inWaves(lanes, context.target.publisher);
  else await sideBySide(lanes, context.target.publish);
  return { published, failed, released };

  /** The first of each lane together, then the second of each that has gone well, and so on. */
  async function inWaves(open: readonly Lane[], publisher: Publisher): Promise<void> {
    for (let going = open; going.length > 0;) {
      const [begun, rest] = split(going, (lane) => mayBegin(lane[0]!));
      for (const lane of rest) released.push(...lane);
      const wave = begun.map((lane) => lane.shift()!);
      const outcomes = wave.length === 0 ? [] : await settleAll(context, wave, publisher);
      const [goOn, stopped] = split(begun, (_, at) => note(wave[at]!, outcomes[at]!));
      for (const lane of stopped) released.push(...lane);
      going = goOn.filter((lane) => lane.length > 0);
    }
  }

  /** As many lanes at a time as calls may be under way. */
  async function sideBySide(open: readonly Lane[], publish: PublishFunction): Promise<void> {
    const waiting = open[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const lane of waiting) await oneByOne(lane, publish);
    };
    await Promise.all(Array.from({ length: Math.min(context.concurrency, open.length) }, worker));
  }

  async function oneByOne(lane: Lane, publish: PublishFunction): Promise<void> {
    let event = lane.shift();
    while (event !== undefined && mayBegin(event)) {
      const given = outboxEventOf(event);
      const outcome = await settle<'published'>(context, async () => {
        await publish(given);
        return 'published';
      });
      if (!note(event, outcome)) {
        released.push(...lane);
        return;
      }
      event = lane.shift();
    }
    if (event !== undefined) released.push(event, ...lane);
  }
}

export function outboxEventOf(event: StoredEvent): OutboxEvent {
  return {
    id: event.eventId,
    topic: event.topic,
    key: event.orderingKey,
    payload: event.payload,
    headers: event.headers,
    createdAt: new Date(event.createdMs),
    attempt: event.failures + 1,
  };
}

function lanesOf(events: readonly StoredEvent[]): readonly Lane[] {
  const keyed = new Map<string, Lane>();
  const lanes: Lane[] = [];
  for (const event of events) {
    const { orderingKey } = event;
    const lane = orderingKey === undefined ? undefined : keyed.get(orderingKey);
    if (lane !== undefined) {
      lane.push(event);
      continue;
    }
    const begun = [event];
    lanes.push(begun);
    if (orderingKey !== undefined) keyed.set(orderingKey, begun);
  }
  return lanes;
}

async function settleAll(
  context: BatchContext,
  wave: readonly StoredEvent[],
  publisher: Publisher,
): Promise<readonly Outcome[]> {
  const settled = await settle(context, async () =>
    readOutcomes(await publisher.publish(wave.map(outboxEventOf)), wave),
  );
  return Array.isArray(settled) ? (settled as readonly Outcome[]) : wave.map(() => settled as Outcome);
}

function readOutcomes(outcomes: readonly PublishOutcome[], wave: readonly StoredEvent[]): readonly Outcome[] {
  // Taken at its word, a publisher that has lost count would have events removed that nobody has.
  if (!Array.isArray(outcomes) || outcomes.length !== wave.length) {
    throw new TypeError(`the publisher must resolve with one outcome for each of its ${wave.length} events`);
  }
  return outcomes.map((outcome: unknown) => {
    if (outcome === undefined) return 'published';
    return outcome instanceof Error ? outcome : new Error('not published', { cause: outcome });
  });
}

/** Waits for a try, but no longer than it may take, and not beyond the end. */
function settle<T>(
  { publishTimeoutMs, stopped }: BatchContext,
  attempt: () => Promise<T>,
): Promise<T | Error | 'left'> {
  return new Promise((resolve) => {
    const done = (outcome: T | Error | 'left'): void => {
      clearTimeout(timer);
      stopped.removeEventListener('abort', leave);
      resolve(outcome);
    };
    const leave = (): void => done('left');
    const timer = setTimeout(
      () => done(new Error(`not published within ${publishTimeoutMs} ms`)),
      publishTimeoutMs,
    );
    if (stopped.aborted) leave();
    else stopped.addEventListener('abort', leave);
    attempt().then(done, (error: unknown) =>
      done(error instanceof Error ? error : new Error('not published', { cause: error })),
    );
  });
}

function split<T>(
  all: readonly T[],
  wanted: (one: T, at: number) => boolean,
): readonly [yes: readonly T[], no: readonly T[]] {
  const yes: T[] = [];
  const no: T[] = [];
  for (const [at, one] of all.entries()) (wanted(one, at) ? yes : no).push(one);
  return [yes, no];
}
