/** Publishes what was committed in the outbox, for as long as it runs. */

import { setMaxListeners } from 'node:events';
import type { Logger } from '../config/logger.ts';
import type { OutboxCounts, OutboxStore } from '../store/outbox-port.ts';
import { publish as tell } from '../telemetry/channels.ts';
import { filterOf, listDeadLetters } from './dead-letters.ts';
import type { DeadLetter, DeadLetterChoice, DeadLetterQuery } from './dead-letters.ts';
import { Pace } from './pace.ts';
import { readRelayOptions } from './relay-options.ts';
import type { RelayOptions, RelaySettings } from './relay-options.ts';
import { runRound } from './round.ts';
import type { Round } from './round.ts';
import { Search } from './search.ts';

/** What a relay has done. */
export interface RelayTotals {
  readonly published: number;
  /** Tries that failed, those after which an event was a dead letter included. */
  readonly failed: number;
  readonly dead: number;
}

/**
 * Publishes the events of the outbox, each at least once. Any number of relays may run, in any number of processes:
 * they share the work. What an operator asks is about all events of the namespace, whatever `topics` says; where
 * Postgres cannot be asked, it is an Error with the name `StoreUnavailableError`.
 */
export interface Relay {
  /** Begins to publish, and keeps its process alive until it is stopped. Does nothing where it has begun. */
  start(): void;
  /**
   * Begins no further event, waits for those that are being published, for `stopTimeoutMs` at most, and gives the
   * rest back, so that another relay has them at once. It may be started again.
   */
  stop(): Promise<void>;
  /**
   * Publishes until nothing is ready any more, and says what it has done; it need not be started for that. What has
   * failed waits for its next try, and so for somebody else.
   */
  drain(): Promise<RelayTotals>;
  /** Says how many events are in the outbox, and how old the oldest is. */
  pending(): Promise<OutboxCounts>;
  /** Lets no relay of this namespace claim events of the topic, or any at all; what is claimed goes out. */
  pause(topic?: string): Promise<void>;
  /** Ends the pause of the topic, or the one of all. */
  resume(topic?: string): Promise<void>;
  /** Lists dead letters, in the order in which they were added: at most `limit`, 100 by default. @throws TypeError */
  deadLetters(query?: DeadLetterQuery): Promise<readonly DeadLetter[]>;
  /** Has dead letters published again, as if they had never been tried; returns how many. @throws TypeError */
  redrive(choice: DeadLetterChoice): Promise<number>;
  /** Removes dead letters for good, unpublished; returns how many. @throws TypeError */
  discard(choice: DeadLetterChoice): Promise<number>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface RelayContext {
  /** Opens the outbox. @throws StoreUnavailableError */
  readonly open: () => Promise<OutboxStore>;
  readonly logger: Logger;
  /** Runs work outside the attempt in which it is called. */
  readonly outside: <T>(work: () => T) => T;
}

interface Running {
  readonly pace: Pace;
  /** No further event is begun. */
  readonly stopping: AbortController;
  /** Nothing is waited for any more. */
  readonly stopped: AbortController;
  readonly ended: Promise<void>;
}

/** @throws TypeError naming the option that is wrong. */
export function createRelay({ open, logger, outside }: RelayContext, options: RelayOptions): Relay {
  const settings = readRelayOptions(options);
  const told = failureTeller(settings, logger);
  let running: Running | undefined;

  async function round(
    store: OutboxStore,
    search: Search,
    stopping: AbortController,
    stopped: AbortController,
  ): Promise<Round> {
    const result = await runRound({
      settings,
      store,
      search,
      stopping: stopping.signal,
      stopped: stopped.signal,
      onError: told.failed,
      onDead: told.dead,
    });
    if (result.published > 0) told.well();
    return result;
  }

  function begin(): Running {
    const pace = new Pace(settings);
    const [stopping, stopped] = controllers();

    async function run(): Promise<void> {
      const search = new Search();
      let store: OutboxStore | undefined;
      let unwatch: (() => void) | undefined;
      while (!stopping.signal.aborted) {
        let waitMs: number;
        try {
          // Kept: what is claimed when the stores are closed must go back through the one that it came from.
          store ??= await open();
          unwatch ??= store.watchEvents(() => pace.hint(), settings.notify);
          waitMs = pace.next(yieldOf(await round(store, search, stopping, stopped)));
        } catch (error) {
          told.unavailable(error);
          waitMs = pace.next('none');
        }
        if (waitMs > 0) tell({ type: 'relay', event: 'waiting', waitMs });
        await pace.wait(waitMs, stopping.signal);
      }
      unwatch?.();
    }

    return { pace, stopping, stopped, ended: run() };
  }

  async function stop(): Promise<void> {
    const ending = running;
    if (ending === undefined) return;
    ending.stopping.abort();
    const timer = setTimeout(() => ending.stopped.abort(), settings.stopTimeoutMs);
    await ending.ended;
    clearTimeout(timer);
    if (running === ending) running = undefined;
  }

  return {
    start() {
      // What is published must not become part of the attempt that happens to start this.
      running ??= outside(begin);
    },
    stop,
    async drain() {
      const store = await open();
      const search = new Search();
      const [stopping, stopped] = controllers();
      const totals = { published: 0, failed: 0, dead: 0 };
      for (;;) {
        const result = await round(store, search, stopping, stopped);
        totals.published += result.published;
        totals.failed += result.failed;
        totals.dead += result.dead;
        if (result.claimed === 0) return totals;
      }
    },
    pending: async () => (await open()).countEvents(),
    async pause(topic) {
      await (await open()).pauseEvents(topicFrom(topic));
    },
    async resume(topic) {
      await (await open()).resumeEvents(topicFrom(topic));
      running?.pace.hint();
    },
    deadLetters: async (query = {}) => listDeadLetters(await open(), query),
    async redrive(choice) {
      const filter = filterOf(choice);
      const count = await (await open()).redriveEvents(filter);
      running?.pace.hint();
      return count;
    },
    async discard(choice) {
      const filter = filterOf(choice);
      const count = await (await open()).discardEvents(filter);
      running?.pace.hint();
      return count;
    },
    [Symbol.asyncDispose]: stop,
  };
}

function controllers(): readonly [stopping: AbortController, stopped: AbortController] {
  const both = [new AbortController(), new AbortController()] as const;
  // Everything that is being published listens.
  setMaxListeners(0, ...both.map(({ signal }) => signal));
  return both;
}

/** A round that has published nothing goes slowly: the broker may be down, and each try would make a dead letter. */
function yieldOf({ full, claimed, published, failed, dead }: Round): 'full' | 'some' | 'none' {
  if (claimed === 0 || (failed > 0 && published === 0 && dead === 0)) return 'none';
  return full ? 'full' : 'some';
}

function topicFrom(topic: string | undefined): string {
  if (topic === undefined) return '';
  if (typeof topic === 'string' && topic !== '') return topic;
  throw new TypeError(
    'pause(topic) and resume(topic) expect the name of a topic, or nothing for all of them.',
  );
}

/** Says what went wrong, but not for each event of an outage. */
function failureTeller({ onError }: RelaySettings, logger: Logger) {
  let failing = false;
  // The relay goes on: what it does next is not for a listener to decide.
  const hasThrown = (thrown: unknown): void =>
    logger.error('The option `onError` of a relay has thrown.', { cause: thrown });
  return {
    failed: (error: unknown, event: Parameters<NonNullable<typeof onError>>[1]): void => {
      if (onError !== undefined) {
        try {
          // It may be async: a rejection that nobody hears of ends the process.
          Promise.resolve<unknown>(onError(error, event)).catch(hasThrown);
        } catch (thrown) {
          hasThrown(thrown);
        }
      } else if (!failing) {
        failing = true;
        logger.warn('The relay cannot publish; it tries again. The next failures are not logged.', {
          cause: error,
        });
      }
    },
    unavailable(error: unknown): void {
      tell({ type: 'relay', event: 'unavailable', error });
      this.failed(error, undefined);
    },
    dead: (
      { eventId, topic }: { readonly eventId: string; readonly topic: string },
      reason: string,
    ): void => {
      logger.error(`The event ${eventId} of topic ${topic} is a dead letter: ${reason}`, { eventId, topic });
    },
    well(): void {
      failing = false;
    },
  };
}
