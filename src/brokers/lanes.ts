/** Handles messages side by side, but those of one key one after the other, in the order in which they came. */

export interface Lanes {
  /**
   * Has the work done: at once, or after all work of the same key that was given before. It must not reject: what
   * became of a message is its own to tell. How much is given at once is the caller's to bound.
   */
  run(key: string | undefined, work: () => Promise<void>): void;
  /** Resolves when nothing is being done and nothing waits, work that is given in the meantime included. */
  idle(): Promise<void>;
}

export function createLanes(): Lanes {
  /** The last work of each key, for as long as it is not done. */
  const tails = new Map<string, Promise<void>>();
  const undone = new Set<Promise<void>>();

  function track(done: Promise<void>): void {
    undone.add(done);
    const forget = (): void => void undone.delete(done);
    done.then(forget, forget);
  }

  return {
    run(key, work) {
      if (key === undefined) return track(work());
      const before = tails.get(key);
      // After one that has rejected all the same: a lane that ends would hold back its key for good.
      const done = before === undefined ? work() : before.then(work, work);
      tails.set(key, done);
      const leave = (): void => {
        // Another may have queued up behind it by now, which the next has to wait for.
        if (tails.get(key) === done) tails.delete(key);
      };
      done.then(leave, leave);
      track(done);
    },
    async idle() {
      while (undone.size > 0) await Promise.allSettled(undone);
    },
  };
}
