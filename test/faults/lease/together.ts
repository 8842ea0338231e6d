/** Runs pieces of work at the same time, but no more than so many. */

/** Returns a function that starts the work it is given when it is its turn. */
export function together(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running === limit) await new Promise<void>((go) => waiting.push(go));
    else running += 1;
    try {
      return await work();
    } finally {
      // Hands its place on, or gives it up.
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
