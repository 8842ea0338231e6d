/** Waiting for something to happen, instead of waiting for a while. */

import { setTimeout as pause } from 'node:timers/promises';

/** A promise, and the two functions that settle it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** Makes a promise that the test itself settles. */
export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** How long `eventually` and `within` wait at most. */
export interface Patience {
  /** @defaultValue 10000 */
  readonly timeoutMs?: number;
  /** What is waited for, for the message of the error. */
  readonly what?: string;
}

/**
 * Waits for a state of a real server that sends no signal. Resolves with the first value that is neither
 * `undefined` nor `false`; throws the check's last error, or says what never became true.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { timeoutMs = 10_000, what = 'the condition' }: Patience = {},
): Promise<Exclude<T, false | undefined>> {
  const deadline = performance.now() + timeoutMs;
  let failure: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value as Exclude<T, false | undefined>;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`${what} did not come true within ${timeoutMs} ms`, { cause: failure });
    }
    await pause(10);
  }
}

/** Resolves as the promise does, or throws when it takes longer: a hang becomes a failure that says where. */
export async function within<T>(
  promise: Promise<T>,
  { timeoutMs = 10_000, what = 'the promise' }: Patience = {},
): Promise<T> {
  const expired = deferred<never>();
  const timer = setTimeout(() => {
    expired.reject(new Error(`${what} did not settle within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    return await Promise.race([promise, expired.promise]);
  } finally {
    clearTimeout(timer);
  }
}
