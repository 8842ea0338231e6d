/** Does something now and then, in the background. */

export interface RoundsOptions {
  /** 0: never. */
  readonly intervalMs: number;
  readonly work: () => Promise<unknown>;
  /** Told of rounds that failed, unless they were stopped. */
  readonly onError: (error: unknown) => void;
}

export interface Rounds {
  /** Resolves when the round under way, if any, has ended. */
  stop(): Promise<void>;
}

/** Starts with the first interval. With jitter, so that processes started together don't work together. */
export function startRounds({ intervalMs, work, onError }: RoundsOptions): Rounds {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let underWay: Promise<unknown> = Promise.resolve();

  function schedule(): void {
    if (stopped || intervalMs === 0) return;
    timer = setTimeout(
      () => {
        underWay = work()
          .catch((error: unknown) => {
            if (!stopped) onError(error);
          })
          .finally(schedule);
      },
      intervalMs * (0.5 + Math.random()),
    );
    timer.unref();
  }

  schedule();
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await underWay;
    },
  };
}
