/** Removes what has expired, now and then. */

import type { Logger } from '../config/logger.ts';
import type { DurableStore } from '../store/port.ts';
import { publish } from '../telemetry/channels.ts';
import { startRounds } from './rounds.ts';

export interface SweeperOptions {
  readonly store: Pick<DurableStore, 'sweep'>;
  readonly intervalMs: number;
  readonly batchSize: number;
  readonly logger: Logger;
}

export interface Sweeper {
  /** Sweeps until nothing is due. */
  sweep(): Promise<{ readonly stripped: number; readonly deleted: number }>;
  /** Resolves when the sweep under way, if any, has ended. */
  stop(): Promise<void>;
}

export function startSweeper(options: SweeperOptions): Sweeper {
  let stopped = false;

  async function sweep(): Promise<{ stripped: number; deleted: number }> {
    const total = { stripped: 0, deleted: 0 };
    for (;;) {
      const batch = await options.store.sweep(options.batchSize);
      total.stripped += batch.stripped;
      total.deleted += batch.deleted;
      const more = batch.stripped === options.batchSize || batch.deleted === options.batchSize;
      if (stopped || !more) break;
    }
    publish({ type: 'swept', ...total });
    return total;
  }

  const rounds = startRounds({
    intervalMs: options.intervalMs,
    work: sweep,
    onError: (error) => options.logger.warn('Sweeping expired idempotency records failed.', { cause: error }),
  });
  return {
    sweep,
    async stop() {
      stopped = true;
      await rounds.stop();
    },
  };
}
