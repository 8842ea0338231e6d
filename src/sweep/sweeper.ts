/** Removes what has expired, now and then. */

import type { Logger } from '../config/logger.ts';
import type { DurableStore } from '../store/port.ts';
import { publish } from '../telemetry/channels.ts';

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

/** Starts sweeping on an interval, with jitter so that processes started together don't sweep together. */
export function startSweeper(options: SweeperOptions): Sweeper {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let underWay: Promise<unknown> = Promise.resolve();

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

  function schedule(): void {
    if (stopped || options.intervalMs === 0) return;
    timer = setTimeout(
      () => {
        underWay = sweep()
          .catch((error: unknown) => {
            if (!stopped)
              options.logger.warn('Sweeping expired idempotency records failed.', { cause: error });
          })
          .finally(schedule);
      },
      options.intervalMs * (0.5 + Math.random()),
    );
    timer.unref();
  }

  schedule();
  return {
    sweep,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await underWay;
    },
  };
}
