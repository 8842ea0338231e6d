/** Subscribes to a source until its first notification is there, and hands on the rest to whoever takes it. */

import type { Observable } from '@apollo/client';

interface Taker<Value> {
  /** Whether it wants no more. */
  readonly closed?: boolean;
  next(value: Value): void;
  error(error: unknown): void;
  complete(): void;
}

export interface Opened<Value> {
  /** The first value; `undefined` where the source completed without one. */
  readonly first: Value | undefined;
  /** Hands on everything, from the first value on; the returned function unsubscribes. */
  deliver(taker: Taker<Value>): () => void;
  /** Wants no more of it than the first value. */
  close(): void;
}

/**
 * Resolves with the source's first value or its end; aborting unsubscribes.
 *
 * @throws what the source fails with before its first value.
 */
export async function openSource<Value>(
  source: Observable<Value>,
  signal: AbortSignal,
): Promise<Opened<Value>> {
  return new Promise((resolve, reject) => {
    // What comes between the first value and `deliver` waits here.
    let waiting: ((taker: Taker<Value>) => void)[] = [];
    let taker: Taker<Value> | undefined;
    const tell = (notification: (to: Taker<Value>) => void): void => {
      if (taker === undefined) waiting.push(notification);
      else notification(taker);
    };
    const opened = (first: Value | undefined): Opened<Value> => ({
      first,
      deliver(to) {
        for (const notification of waiting) notification(to);
        waiting = [];
        taker = to;
        // Whoever left in the middle of that could not unsubscribe yet.
        if (to.closed) subscribed.unsubscribe();
        return () => subscribed.unsubscribe();
      },
      close() {
        subscribed.unsubscribe();
        tell((to) => to.complete());
      },
    });
    const subscribed = source.subscribe({
      next(value) {
        tell((to) => to.next(value));
        resolve(opened(value));
      },
      error(error: Error) {
        tell((to) => to.error(error));
        reject(error);
      },
      complete() {
        tell((to) => to.complete());
        resolve(opened(undefined));
      },
    });
    if (signal.aborted) subscribed.unsubscribe();
    signal.addEventListener('abort', () => subscribed.unsubscribe());
  });
}
